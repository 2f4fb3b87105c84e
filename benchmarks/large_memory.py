"""Peak memory and memory growth over 10,000 images of 12 MP."""

from __future__ import annotations

from benchmarks.figures import MOBILENET_V2, Figure, Options, print_progress, require_shared
from benchmarks.material import make_images, prepare_models
from benchmarks.results import save_section
from benchmarks.stream_memory import measure_memory

# Decoding 1,000 images in full takes minutes, and its memory is visible after a few.
COUNTS = {"fast": 10_000, "exact": 1_000}
SETTLED = {"fast": 500, "exact": 200}
QUICK_COUNT = 300
DISTINCT = 24


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    images = make_images("12mp", DISTINCT)
    int8 = prepare_models()["mobilenet_v2"].int8
    model, dtype = (MOBILENET_V2, "fp32") if int8 is None else (int8, "q8")
    figures, sections = [], []
    for decode, full_count in COUNTS.items():
        count = QUICK_COUNT if options.quick else full_count
        settled_at = min(SETTLED[decode], count // 2)
        print_progress(f"{count:,} images of 12 MP, decode={decode!r}")
        found = measure_memory(
            images,
            count,
            settled_at=settled_at,
            model=str(model),
            dtype=dtype,
            decode=decode,
            mode="throughput",
        )
        name = f"MobileNetV2 {dtype}, {count:,} images of 12 MP, decode={decode!r}"
        growth = found["peak_mb"] - found["settled_mb"]
        figures += [
            Figure(
                name=f"{name}: peak memory",
                measured=found["peak_mb"],
                target=600,
                unit="MB",
                detail=found["engine"],
            ),
            Figure(
                name=f"{name}: growth after the first {settled_at}",
                measured=growth,
                target=50,
                unit="MB",
                detail=f"at most {found['settled_mb']:.0f} MB until then",
            ),
        ]
        sections.append(
            {
                "decode": decode,
                "weights": "float" if int8 is None else "int8",
                "images": count,
                "settled_at": settled_at,
                "engine": found["engine"],
                "peak_mb": round(found["peak_mb"]),
                "growth_mb": round(growth),
            }
        )
    if options.save:
        print_progress(f"saved as {save_section('memory', sections, is_quick=options.quick).name}")
    return figures

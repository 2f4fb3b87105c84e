"""Images and models for the benchmarks, created once in ``benchmarks/work``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from benchmarks.figures import MOBILENET_V2, ROOT, SHARED, print_progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORK = ROOT / "benchmarks" / "work"
CONFORMANCE_PYTHON = ROOT / ".venv-conformance" / "bin" / "python"
SMALL, LARGE = (500, 375), (4000, 3000)
QUALITY = 90
CALIBRATION_COUNT = 100
# An enlarged photograph is smooth and its file small, so decode="fast" would be six times as fast. With this
# grain a file has 2 to 4 MB, as from a camera, and decode="fast" is three times as fast.
GRAIN = 4.0

Size = Literal["500x375", "12mp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSet:
    """One model's weights in every format; ``None`` for a format that could not be created.

    ``dynamic`` has a ``model_quantized.onnx`` as the Hub's are: `quantize_dynamic`, without calibration.
    """

    name: str
    onnx: Path | None
    torch: Path | None
    int8: Path | None
    dynamic: Path | None
    why_missing: dict[str, str]


def list_photographs() -> list[Path]:
    return sorted((SHARED / "images" / "imagenet").glob("*_n*.jpg"))


def make_images(size: Size, count: int) -> Path:
    """A folder of ``count`` JPEG files of one size, made from the photographs."""
    return _draw_all(spread(list_photographs(), count), WORK / f"images-{size}", size)


def split_photographs() -> tuple[list[Path], list[Path]]:
    """The photographs for the calibration of int8, and the others, for checking it."""
    photographs = list_photographs()
    calibrated = spread(photographs, CALIBRATION_COUNT)
    return calibrated, [path for path in photographs if path not in calibrated]


def _draw_all(sources: Sequence[Path], folder: Path, size: Size) -> Path:
    wanted = {folder / f"{path.stem}.jpg": path for path in sources}
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.iterdir()) - set(wanted):
        path.unlink()
    missing = [(source, target) for target, source in wanted.items() if not target.exists()]
    if missing:
        print_progress(f"drawing {len(missing)} images of {size}")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda pair: draw_image(pair[0], pair[1], size), missing))
    return folder


def draw_image(source: Path, target: Path, size: Size) -> None:
    """Write one photograph in another size; large ones get a camera's grain."""
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if size == "500x375":
        image = image.resize(SMALL, Image.Resampling.LANCZOS)
    else:
        image = _add_grain(image.resize(LARGE, Image.Resampling.BICUBIC), seed=source.name)
    part = target.with_suffix(".part")
    image.save(part, "JPEG", quality=QUALITY)
    part.replace(target)


def _add_grain(image: Image.Image, *, seed: str) -> Image.Image:
    draw = np.random.default_rng(list(seed.encode()))
    grain = (draw.standard_normal((image.height, image.width), np.float32) * GRAIN).astype(np.int16)
    return Image.fromarray(np.clip(np.asarray(image) + grain[..., None], 0, 255).astype(np.uint8))


def spread(items: Sequence[Path], count: int) -> list[Path]:
    """Up to ``count`` items, evenly spread."""
    count = min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def prepare_models() -> dict[str, ModelSet]:
    """Both models in every format that this machine can create."""
    reasons = _make_reference_models()
    sets = {}
    for name, onnx in (("vit", WORK / "vit"), ("mobilenet_v2", MOBILENET_V2)):
        why = dict(reasons)
        has_onnx = (onnx / "onnx" / "model.onnx").exists()
        int8 = WORK / f"{name}-int8"
        if has_onnx and not int8.exists():
            # With random weights the best label means nothing: only ViT's speed is measured.
            why |= _quantize(onnx, int8, min_agreement=0 if name == "vit" else 0.97)
        # ViT's float weights have such a file beside them, which transformers.js uses too.
        dynamic = onnx if name == "vit" else WORK / f"{name}-dynamic"
        if has_onnx and not (dynamic / "onnx" / "model_quantized.onnx").exists():
            _quantize_dynamically(onnx, dynamic)
        sets[name] = ModelSet(
            name=name,
            onnx=onnx if has_onnx else None,
            torch=WORK / f"{name}-torch" if (WORK / f"{name}-torch").exists() else None,
            int8=int8 if int8.exists() else None,
            dynamic=dynamic if has_onnx else None,
            why_missing=why,
        )
    return sets


def _make_reference_models() -> dict[str, str]:
    if all((WORK / f"{name}-torch").exists() for name in ("vit", "mobilenet_v2")):
        return {}
    if not CONFORMANCE_PYTHON.exists():
        reason = "needs torch and transformers: run `make peers`"
        return {"torch": reason, "onnx": reason}
    print_progress("exporting the models")
    command: list[str | Path] = [CONFORMANCE_PYTHON, "-W", "ignore", "-m", "benchmarks.peers.make_models"]
    done = subprocess.run(
        [*command, WORK, MOBILENET_V2], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = f"the export failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        return {"torch": reason, "onnx": reason}
    return {}


def _quantize(model: Path, output: Path, *, min_agreement: float) -> dict[str, str]:
    calibrated, others = split_photographs()
    calibration = _draw_all(calibrated, WORK / "calibration", "500x375")
    check = _draw_all(others, WORK / "check", "500x375")
    print_progress(f"pictag quantize {model.name}")
    command: list[str | Path] = [sys.executable, "-m", "pictag", "quantize", model, "--quiet"]
    command += ["--calibrate", calibration, "--check", check, "--output", output]
    command += ["--min-agreement", str(min_agreement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        return {"int8": f"`pictag quantize` failed: {lines[-1]}"}
    return {}


def _quantize_dynamically(model: Path, output: Path) -> None:
    """Write a model folder with 8-bit weights as on the Hub, whose ranges are found at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    print_progress(f"quantize_dynamic {model.name}")
    (output / "onnx").mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copyfile(model / name, output / name)
    part = output / "onnx" / "part.onnx"
    quantize_dynamic(model / "onnx" / "model.onnx", part, weight_type=QuantType.QUInt8)
    part.replace(output / "onnx" / "model_quantized.onnx")

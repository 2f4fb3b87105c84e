"""How much int8 and ``decode="fast"`` change the scores, compared with float and ``"exact"``."""

from __future__ import annotations

import importlib.util
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import MOBILENET_V2, Figure, Options, print_progress, require_shared
from benchmarks.material import draw_image, list_photographs, prepare_models, split_photographs, spread
from benchmarks.results import save_section
from benchmarks.systems import ENGINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline

QUICK_COUNT = 16
DRAWN_AT_ONCE = 8  # number of 12 MP images on disk at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A comparison of two sets of scores for the same images.

    ``same_best`` is the share of images with the same best label. For each image the largest difference of
    a score over all labels is used: ``mean_difference`` and ``largest_difference`` summarize these.
    """

    name: str
    images: int
    same_best: float
    mean_difference: float
    largest_difference: float
    target: float


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    photographs = list_photographs()
    if options.quick:
        photographs = spread(photographs, QUICK_COUNT)
    found = [*_compare_int8(photographs), _compare_decoding(photographs)]
    if options.save:
        path = save_section("agreement", [asdict(one) for one in found], is_quick=options.quick)
        print_progress(f"saved as {path.name}")
    return [
        Figure(
            name=f"{one.name}: same best label",
            measured=one.same_best,
            target=one.target,
            unit="",
            detail=f"{one.images} images; scores differ by {one.mean_difference:.4f} on average, "
            f"by {one.largest_difference:.3f} at most",
            more=True,
        )
        for one in found
    ]


def _compare_int8(photographs: Sequence[Path]) -> list[Agreement]:
    from pictag import pipeline

    models = prepare_models()["mobilenet_v2"]
    if models.int8 is None:
        print(f"  skipped: int8: {models.why_missing.get('int8')}")
        return []
    with pipeline(model=MOBILENET_V2, dtype="fp32", engine="onnxruntime") as classifier:
        exact = _score(classifier, photographs)
    _, others = split_photographs()
    unseen = np.array([path in others for path in photographs])
    found = []
    for engine in ENGINES:
        if importlib.util.find_spec(engine) is None:
            print(f"  skipped: int8 with {engine}: pip install 'pictag[{engine}]'")
            continue
        with pipeline(model=models.int8, dtype="q8", engine=engine) as classifier:
            scores = _score(classifier, photographs)
        name = f"MobileNetV2, int8 on {engine} compared with float"
        found += [
            _compare(name, exact, scores, target=0.97),
            _compare(f"{name}, images not used for calibration", exact[unseen], scores[unseen], target=0.97),
        ]
    return found


def _compare_decoding(photographs: Sequence[Path]) -> Agreement:
    """Each photograph as a 12 MP image, which is deleted after use."""
    from pictag import pipeline

    found: dict[str, list[NDArray[np.float32]]] = {"exact": [], "fast": []}
    with (
        pipeline(model=MOBILENET_V2, dtype="fp32", decode="exact") as exact,
        pipeline(model=MOBILENET_V2, dtype="fp32", decode="fast") as fast,
        ThreadPoolExecutor() as pool,
    ):
        for start in range(0, len(photographs), DRAWN_AT_ONCE):
            print_progress(f"12 MP images: {start} of {len(photographs)}")
            several = photographs[start : start + DRAWN_AT_ONCE]
            with tempfile.TemporaryDirectory() as folder:
                drawn = [Path(folder) / f"{path.stem}.jpg" for path in several]
                list(pool.map(lambda source, target: draw_image(source, target, "12mp"), several, drawn))
                found["exact"].append(_score(exact, drawn))
                found["fast"].append(_score(fast, drawn))
    name = 'MobileNetV2, 12 MP, decode="fast" compared with "exact"'
    return _compare(name, np.concatenate(found["exact"]), np.concatenate(found["fast"]), target=0.99)


def _score(classifier: ImageClassificationPipeline[Any], paths: Sequence[Path]) -> NDArray[np.float32]:
    """The scores of all labels [images, labels], in label order."""
    scores = np.empty((len(paths), len(classifier.labels)), np.float32)
    for row, prediction in zip(scores, classifier.stream(list(paths), top_k=None), strict=True):
        assert prediction.error is None, prediction
        for label in prediction.labels:
            row[label.index] = label.score
    return scores


def _compare(
    name: str, first: NDArray[np.float32], second: NDArray[np.float32], *, target: float
) -> Agreement:
    differences = np.abs(first - second).max(axis=1)
    return Agreement(
        name=name,
        images=len(first),
        same_best=float((first.argmax(axis=1) == second.argmax(axis=1)).mean()),
        mean_difference=float(differences.mean()),
        largest_difference=float(differences.max()),
        target=target,
    )

"""Models and images for the load on the server, and the library's results for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.figures import MOBILENET_V2, SHARED
from benchmarks.material import WORK, list_photographs, make_images, spread
from benchmarks.serve_plan import RequestImage
from pictag import pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from pictag import ImageClassificationPipeline

IMAGES = 100
SIZES = ((64, 48), (160, 120), (320, 240), (500, 375), (640, 480), (800, 600), (1280, 960), (1600, 1200))
TOO_LARGE = (12_000, 8000)  # exceeds the server's pixel limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with the options of the command and the server."""

    title: str
    reference: str
    dtype: str
    engine: str = "onnxruntime"

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--model", self.reference, "--dtype", self.dtype, "--engine", self.engine, "--offline")

    def open(self) -> ImageClassificationPipeline[Any]:
        """Open the model in the library, in the server's mode."""
        return pipeline(
            model=self.reference,
            dtype=self.dtype,
            engine=self.engine,
            mode="throughput",
            local_files_only=True,
        )


EMBEDDED = Model(title="embedded", reference="embedded", dtype="auto")


def list_models() -> tuple[Model, ...]:
    """MobileNetV2 with float and 8-bit weights, or the embedded model without the shared folder."""
    if not MOBILENET_V2.is_dir():
        return (EMBEDDED,)
    reference = str(MOBILENET_V2)
    return (
        Model(title="MobileNetV2 float", reference=reference, dtype="fp32"),
        Model(title="MobileNetV2 8-bit", reference=reference, dtype="q8"),
    )


def prepare_images() -> Path:
    """A folder of 500×375 JPEG images: photographs, or generated ones without the shared folder."""
    if SHARED.is_dir():
        return make_images("500x375", IMAGES)
    folder = WORK / "images-drawn"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        draw_image(folder / f"{number:03}.jpg", (500, 375), seed=number)
    return folder


def prepare_mixed(folder: Path) -> list[Path]:
    """Images of many sizes in JPEG, PNG and WebP, generated or from photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    photographs = spread(list_photographs(), 24) if SHARED.is_dir() else []
    paths = []
    for number in range(24):
        size, kind = SIZES[number % len(SIZES)], ("jpg", "jpg", "png", "webp")[number % 4]
        path = folder / f"{number:02}.{kind}"
        if not path.exists() and photographs:
            with Image.open(photographs[number]) as image:
                image.convert("RGB").resize(size).save(path)
        elif not path.exists():
            draw_image(path, size, seed=number)
        paths.append(path)
    return paths


def prepare_bad(folder: Path, image: Path, *, max_body_bytes: int) -> tuple[RequestImage, ...]:
    """Invalid bodies with the expected status: truncated, not an image, too large."""
    folder.mkdir(parents=True, exist_ok=True)
    data = image.read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "text.jpg").write_bytes(b"This is a text, whatever it is called. " * 100)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "long.jpg").write_bytes(data + bytes(max_body_bytes))
    Image.new("1", TOO_LARGE).save(folder / "wide.png")
    statuses = {"cut.jpg": 422, "text.jpg": 415, "empty.jpg": 400, "long.jpg": 413, "wide.png": 422}
    return tuple(
        RequestImage(path=str(folder / name), statuses=(status,)) for name, status in statuses.items()
    )


def draw_image(path: Path, size: tuple[int, int], *, seed: int) -> None:
    """Coarse coloured clouds: models distinguish them, and they compress like photographs."""
    draw = np.random.default_rng(seed)
    clouds = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    grain = draw.integers(-12, 13, (size[1], size[0], 3), np.int16)
    Image.fromarray(np.clip(np.asarray(clouds) + grain, 0, 255).astype(np.uint8)).save(path)


def expect(paths: list[Path], classifier: ImageClassificationPipeline[Any]) -> tuple[RequestImage, ...]:
    """The images with the library's results, from one call per image."""
    return tuple(
        RequestImage(
            path=str(path),
            scores={one["label"]: one["score"] for one in classifier(path.read_bytes(), top_k=5)},
        )
        for path in paths
    )

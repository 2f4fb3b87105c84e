"""Near duplicates in a library of photographs: changed copies that are found, and groups that mix images.

Run by the benchmark ``gallery``.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from benchmarks.figures import SHARED, Figure, print_progress
from benchmarks.material import list_photographs, spread
from benchmarks.near_cuts import list_tiny_images
from pictag import pipeline
from pictag.gallery import Gallery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELS = ("efficientnet-lite0", "embedded")
ORIGINALS, DIFFERENT = 120, 1000
MIN_FOUND, MAX_MIXED = 0.95, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Changed copies in a group with their original, by the change, and groups that mix photographs."""

    found: dict[str, int]
    originals: int
    mixed: tuple[tuple[str, ...], ...]
    images: int


def measure(*, quick: bool) -> list[Figure]:
    """The figures of each model."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        originals, different = (8, 60) if quick else (ORIGINALS, DIFFERENT)
        print_progress(f"near duplicates: writing {originals} × {len(CHANGES)} changed copies")
        write_photographs(folder, originals=originals, different=different)
        for model in MODELS[-1:] if quick else MODELS:
            print_progress(f"near duplicates: {model}")
            quality = judge(folder, model, Path(name) / f"{model}.db")
            total = sum(quality.found.values())
            share = total / (len(quality.found) * quality.originals)
            detail = ", ".join(
                f"{change} {count / quality.originals:.1%}" for change, count in quality.found.items()
            )
            mixed = "; ".join(" + ".join(group) for group in quality.mixed[:5])
            figures += [
                Figure(
                    name=f"near duplicates, {model}: changed copies in a group with their photograph",
                    measured=share, target=MIN_FOUND, unit="", more=True, detail=detail,
                ),
                Figure(
                    name=f"near duplicates, {model}: groups that mix different photographs",
                    measured=len(quality.mixed), target=MAX_MIXED, unit="groups",
                    detail=f"{quality.images:,} different images, flat and blank ones among them. {mixed}",
                ),
            ]  # fmt: skip
    return figures


def judge(folder: Path, model: str, library: Path) -> Quality:
    """Index the photographs and compare the groups with the files' names: ``NUMBER-CHANGE.EXTENSION``."""
    with pipeline(model=model, embeddings=True) as classifier, Gallery.open(library, create=True) as gallery:
        gallery.index([folder], classifier)
        groups = [
            [Path(os.fsdecode(path)).stem.split("-") for path in group.files]
            for group in gallery.duplicates()
        ]
    images = {path.stem.split("-")[0] for path in folder.iterdir()}
    found = dict.fromkeys(CHANGES, 0)
    for group in groups:
        kept = {number for number, change in group if change == "original"}
        for number, change in group:
            if change in found and number in kept:
                found[change] += 1
    return Quality(
        found=found,
        originals=len(list(folder.glob("*-grey.*"))),
        mixed=tuple(
            tuple(sorted("-".join(file) for file in group))
            for group in groups
            if len({number for number, _ in group}) > 1
        ),
        images=len(images),
    )


def write_photographs(folder: Path, *, originals: int, different: int) -> None:
    """Write so many different images, and the changed copies of some photographs."""
    folder.mkdir()
    changed = {path.name for path in spread(list_photographs(), originals)}
    for number, (name, image) in enumerate(iterate_different(different)):
        image.save(folder / f"{number:04}-original.png")
        if name in changed:
            for change, make in CHANGES.items():
                make(image).save(folder / f"{number:04}-{change}.jpg", quality=90)


def iterate_different(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Photographs, flat and blank images, and small photographs up to this number, with their names."""
    paths = [*list_photographs(), *sorted((SHARED / "images" / "gallery").glob("*.[jbp][pmn]g"))]
    images = [(path.name, path.read_bytes()) for path in paths]
    with tarfile.open(SHARED / "datasets" / "ants-bees.tar.xz") as tar:
        for member in tar:
            if member.name.endswith(".jpg") and (file := tar.extractfile(member)):
                images.append((member.name, file.read()))
    flat = list(draw_flat())
    yield from flat
    images = images[: count - len(flat)]
    images += [("tiny", image) for image in list_tiny_images(count - len(flat) - len(images))]
    for name, content in images:
        with Image.open(io.BytesIO(content)) as opened:
            yield name, ImageOps.exif_transpose(opened).convert("RGB")


def draw_flat() -> Iterator[tuple[str, Image.Image]]:
    """Blank pages, plain colours, skies, fog, scanned empty pages with a mark."""
    random = np.random.default_rng(0)
    for colour in ("white", "black", "#808080", "#f4f1e8", "navy", "#d02020"):
        yield colour, Image.new("RGB", (640, 480), colour)
    down = np.linspace(0, 1, 480)[:, None, None]
    for top, bottom in (
        ((90, 140, 220), (200, 220, 245)),
        ((250, 160, 80), (60, 40, 110)),
        ((20, 20, 40), (70, 70, 90)),
    ):
        sky = np.broadcast_to(np.array(top) * (1 - down) + np.array(bottom) * down, (480, 640, 3))
        yield "sky", Image.fromarray(sky.astype(np.uint8))
        yield (
            "noisy sky",
            Image.fromarray(np.clip(sky + random.normal(0, 6, sky.shape), 0, 255).astype(np.uint8)),
        )
    for seed in range(4):
        page = np.full((700, 500, 3), 245.0) + random.normal(0, 3, (700, 500, 1))
        page[100 + 120 * seed : 104 + 120 * seed, 80:420] = 40
        yield (
            "page",
            Image.fromarray(np.clip(page, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1)),
        )


def _compress(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _scale(image: Image.Image, divisor: int) -> Image.Image:
    size = max(1, image.width // divisor), max(1, image.height // divisor)
    return image.resize(size, Image.Resampling.LANCZOS)


def _crop(image: Image.Image) -> Image.Image:
    left, top = round(image.width * 0.05), round(image.height * 0.05)
    return image.crop((left, top, image.width - left, image.height - top))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 40": lambda image: _compress(image, 40),
    "half": lambda image: _scale(image, 2),
    "sixth": lambda image: _scale(image, 6),
    "crop": _crop,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L"),
    "mirrored": ImageOps.mirror,
}

"""Tiny ImageNet's training archives as one array of images, and the part held out for validation.

The archives hold `WNID/name.JPEG` images of 64×64 pixels. They are decoded once into `images.npy`
(uint8, [count, 64, 64, 3]) and `labels.npy` (int64), which later runs map into memory.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
ARCHIVES = "tiny-imagenet-train-*.tar.xz"
CLASSES = "tiny-imagenet-classes.tsv"
HELD_OUT = 0.05
SPLIT_SEED = 20_24


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes in the order of their WordNet ids: a class's index is its position here."""

    wordnet_ids: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Decoded images (uint8, [count, 64, 64, 3]) with the class index of each."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices of the training images, and of those held out."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]


def read_classes(folder: Path) -> Classes:
    """The classes of the data set in `folder`, from its table of WordNet ids and labels."""
    with (folder / CLASSES).open(encoding="utf-8", newline="") as file:
        rows = sorted((row["wnid"], row["label"]) for row in csv.DictReader(file, delimiter="\t"))
    return Classes(wordnet_ids=tuple(r[0] for r in rows), labels=tuple(r[1] for r in rows))


def iterate_archive(archive: Path) -> Iterator[tuple[str, bytes]]:
    """(WordNet id, JPEG bytes) of every image of an archive, in the archive's order."""
    with tarfile.open(archive, "r|xz") as tar:
        for member in tar:
            if member.isfile() and (file := tar.extractfile(member)):
                yield Path(member.name).parent.name, file.read()


def decode_archive(archive: Path, limit: int | None = None) -> tuple[NDArray[np.uint8], list[str]]:
    """The images of an archive, at most `limit`, as one array, with the WordNet id of each."""
    images: list[NDArray[np.uint8]] = []
    wordnet_ids: list[str] = []
    for wordnet_id, content in iterate_archive(archive):
        if limit is not None and len(images) >= limit:
            break
        with Image.open(io.BytesIO(content)) as image:
            images.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
        wordnet_ids.append(wordnet_id)
    return np.stack(images), wordnet_ids


def build_cache(folder: Path, cache: Path, limit: int | None = None) -> None:
    """Decode the archives in `folder` into `cache`; with `limit`, only that many images of the first one."""
    archives = sorted(folder.glob(ARCHIVES))
    if not archives:
        raise FileNotFoundError(f"no {ARCHIVES} in {folder}; name the folder of the data set with --data")
    index = {wordnet_id: i for i, wordnet_id in enumerate(read_classes(folder).wordnet_ids)}
    if limit is not None:
        parts = [decode_archive(archives[0], limit)]
    else:
        with ProcessPoolExecutor(max_workers=2) as pool:
            parts = list(pool.map(decode_archive, archives))
    cache.mkdir(parents=True, exist_ok=True)
    labels = np.array([index[w] for _, ids in parts for w in ids], dtype=np.int64)
    np.save(cache / "labels.npy", labels)
    partial = cache / "images.partial.npy"
    np.save(partial, np.concatenate([pixels for pixels, _ in parts]))
    partial.rename(cache / "images.npy")


def open_cache(cache: Path) -> Images:
    """The decoded images in `cache`, mapped into memory."""
    pixels = np.load(cache / "images.npy", mmap_mode="r")
    return Images(pixels=pixels, labels=np.load(cache / "labels.npy"))


def load_images(folder: Path, cache: Path, limit: int | None = None) -> Images:
    """The data set in `folder`, decoded into `cache` if it isn't there yet."""
    if not (cache / "images.npy").exists():
        build_cache(folder, cache, limit)
    return open_cache(cache)


def split_images(labels: NDArray[np.int64], fraction: float = HELD_OUT, seed: int = SPLIT_SEED) -> Split:
    """Hold out the same `fraction` of every class, chosen with a fixed `seed`."""
    generator = np.random.default_rng(seed)
    train: list[NDArray[np.int64]] = []
    held_out: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = round(len(members) * fraction)
        held_out.append(members[:count])
        train.append(members[count:])
    return Split(train=np.sort(np.concatenate(train)), held_out=np.sort(np.concatenate(held_out)))

"""Near copies among the examples."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from blockimages import make_block_image
from pictag.similarity import CosineCut, describe, normalize
from pictag.teaching.examples import Example
from pictag.teaching.near_copies import NearCopies, find_near_copies

MEASURED = CosineCut(cosine=0.85)
UNKNOWN = CosineCut(cosine=0.95, is_measured=False)


def find(
    embeddings: np.typing.NDArray[np.float64], labels: list[int], images: list[Image.Image], cut: CosineCut
) -> NearCopies:
    examples = [
        Example(name=str(i), labels=(str(label),), embedding=normalize(row), fingerprint=describe(image))
        for i, (row, label, image) in enumerate(zip(embeddings, labels, images, strict=True))
    ]
    return find_near_copies(examples, np.array(labels)[:, None] == np.arange(max(labels) + 1), cut)


def test_another_size_and_quality_is_a_near_copy() -> None:
    image = make_block_image(0, 0)
    packed = io.BytesIO()
    image.resize((50, 50)).save(packed, "JPEG", quality=40)
    images = [image, *(make_block_image(1, seed) for seed in range(1, 8)), Image.open(packed)]
    embeddings = np.random.default_rng(0).normal(size=(9, 64))
    found = find(embeddings, [0, 1, 0, 1, 0, 1, 0, 1, 0], images, UNKNOWN)
    assert found.sets == ((0, 8),)
    assert found.groups[8] == found.groups[0]
    assert found.count_distinct(np.ones(9, bool)) == 8


def test_equal_embeddings_are_near_copies_if_the_cut_was_measured() -> None:
    images = [make_block_image(0, seed) for seed in range(10)]
    embeddings = np.random.default_rng(0).normal(size=(10, 64))
    embeddings[8] = embeddings[0] + 0.1
    labels = [0, 1] * 5
    assert find(embeddings, labels, images, MEASURED).sets == ((0, 8),)
    assert find(embeddings, labels, images, UNKNOWN).sets == ()


def test_images_of_one_kind_are_not_all_copies_of_each_other() -> None:
    """X-rays: their embeddings are alike, and so are their hashes."""
    generator = np.random.default_rng(0)
    labels = [0, 1] * 30
    embeddings = 5 + generator.normal(size=(60, 64))  # the cosine of two is about 0.96
    scans = [Image.fromarray(make_scan(generator)) for _ in labels]
    found = find(embeddings, labels, scans, MEASURED)
    assert found.count_distinct(np.ones(60, bool)) > 40


def make_scan(generator: np.random.Generator) -> np.typing.NDArray[np.uint8]:
    """The same shapes with other noise."""
    y, x = np.indices((96, 96)) / 96
    shape = 120 + 100 * np.sin(9 * x) * np.cos(7 * y)
    noisy = shape + generator.normal(0, 3, (96, 96))
    return np.asarray(noisy.clip(0, 255), np.uint8)


def test_classes_of_one_object_each_keep_their_images() -> None:
    """My mug and yours: the images of each are alike, but they aren't copies."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(2, 64))
    labels = [0, 1] * 6
    embeddings = centres[labels] + 0.1 * generator.normal(size=(12, 64))
    images = [make_block_image(0, seed) for seed in range(12)]
    assert find(embeddings, labels, images, MEASURED).sets == ()

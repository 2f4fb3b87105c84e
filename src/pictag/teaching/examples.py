"""The training images: labels, embeddings and fingerprints. Stored with the model for updates.

``examples.npz`` in the model's folder has them without the images: an update adds images to them and fits the
last layer again, without the files of the first time. The model works without this file.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import CorruptModel, ModelFileMissing, shorten
from pictag.similarity import Fingerprint, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.evaluation import LabelledImage
    from pictag.records import Failure, Prediction

FILE = "examples.npz"
_SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image: its name, labels, embedding of length 1 (float32 [D]) and fingerprint."""

    name: str
    labels: tuple[str, ...]
    embedding: NDArray[np.float32] = field(repr=False, compare=False)
    fingerprint: Fingerprint


class ExampleCollector:
    """Collects predictions with an embedding and ``observed`` by `pictag.similarity.describe`.

    The predictions come in the order of the ``images``. ``failures`` are those that can't be used,
    ``samples`` the first others.
    """

    def __init__(self, images: Iterable[LabelledImage]) -> None:
        self.examples: list[Example] = []
        self.samples: list[tuple[LabelledImage, Example]] = []
        self.failures: list[tuple[str, Failure]] = []
        self._images = iter(images)

    def write(self, prediction: Prediction) -> None:
        """Store the data of one image."""
        image = next(self._images)
        if prediction.error is not None:
            self.failures.append((image.name, prediction.error))
            return
        assert prediction.embedding is not None
        example = Example(
            name=image.name,
            labels=image.labels,
            embedding=normalize(prediction.embedding),
            fingerprint=prediction.observed,
        )
        self.examples.append(example)
        if len(self.samples) < _SAMPLES:
            self.samples.append((image, example))


def merge(old: Iterable[Example], new: Iterable[Example]) -> tuple[list[Example], list[str]]:
    """Each image once, by its pixels, and the names of images that are left out.

    An old image that is among the new ones gets their labels. Of new images with the same pixels and the same
    labels, the first is kept; with different labels, all are left out, because it isn't known which are
    right.
    """
    found: dict[bytes, list[Example]] = {}
    for example in new:
        found.setdefault(example.fingerprint.pixels, []).append(example)
    kept = [example for example in old if example.fingerprint.pixels not in found]
    left_out: list[str] = []
    for same in found.values():
        if len({frozenset(example.labels) for example in same}) == 1:
            kept.append(same[0])
        else:
            left_out += [example.name for example in same]
    return kept, left_out


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write ``examples.npz``; the same examples give the same bytes. Raises ``OSError``."""
    facts = [
        {
            "name": example.name,
            "labels": list(example.labels),
            "pixels": example.fingerprint.pixels.hex(),
            "hash": example.fingerprint.hash,
            "mirrored_hash": example.fingerprint.mirrored_hash,
        }
        for example in examples
    ]
    text = json.dumps(facts, ensure_ascii=True).encode()
    embeddings: Any = np.stack([example.embedding for example in examples])
    np.savez(path, embeddings=embeddings, facts=np.frombuffer(text, np.uint8))


def read_examples(folder: Path) -> list[Example]:
    """The examples of a taught model. Raises `ModelFileMissing` or `CorruptModel`."""
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as content:
            embeddings = content["embeddings"]
            facts = json.loads(content["facts"].tobytes())
        return [
            Example(
                name=fact["name"],
                labels=tuple(fact["labels"]),
                embedding=embedding,
                fingerprint=Fingerprint(
                    pixels=bytes.fromhex(fact["pixels"]),
                    hash=fact["hash"],
                    mirrored_hash=fact["mirrored_hash"],
                ),
            )
            for fact, embedding in zip(facts, embeddings, strict=True)
        ]
    except FileNotFoundError as error:
        raise ModelFileMissing(
            f"{shorten(folder)} has no {FILE}, which 'pictag teach' writes, so it can't be updated. Teach a "
            "new model with all images.",
            filename=path,
        ) from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CorruptModel(f"{shorten(path)} can't be read: {shorten(error)}.") from error

"""Makes libraries of the gallery without photographs, for tests and benchmarks.

entries = [Entry(path="/photos/trip/rex.jpg", scores={"dog": 0.9}, keywords=("Rex",))]
with make_library(path, entries) as gallery: …
with make_library(path, synthesize(100_000, dimensions=1280)) as gallery: …
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pictag.gallery import Gallery
from pictag.gallery.schema import write
from pictag.gallery.store import (
    Content,
    ModelFacts,
    PhotoFacts,
    StoredFile,
    Term,
    save_content,
    save_file,
    save_folder,
    save_model,
    save_term,
)
from pictag.gallery.vector_blocks import save_vectors
from pictag.vocabulary import Concept, read_classes, read_concepts

ROOT = "/photos"
CAMERAS = ("Canon EOS R5", "NIKON Z 6", "Apple iPhone 15", None)
TYPES = ("jpeg", "png", "tiff", "heic")
_BATCH = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file. Those with the same ``pixels`` have the same content; by default each has its own.

    ``scores`` are the model's, by word: words of pictag's vocabulary have their synonyms and kind, other
    words are labels.
    """

    path: str
    scores: Mapping[str, float] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    decisions: Mapping[str, str] = field(default_factory=dict)  # word: verdict
    pixels: bytes | None = None
    width: int = 500
    height: int = 375
    size: int = 60_000
    hash: int | None = None
    mirrored_hash: int | None = None
    embedding: NDArray[np.float32] | None = None
    taken: str | None = None
    camera: str | None = None
    has_gps: bool = False
    type: str = "jpeg"
    error: str | None = None


def pixels_of(entry: Entry) -> bytes:
    """The key of an entry's content."""
    return hashlib.sha256(os.fsencode(entry.path)).digest() if entry.pixels is None else entry.pixels


def make_library(path: Path, entries: Iterable[Entry] = (), *, root: str = ROOT) -> Gallery:
    """A new library with these files, all below ``root``; the caller closes it."""
    gallery = Gallery.open(path, create=True)
    connection = gallery.connection
    known = _known_terms()
    ids: dict[str, int] = {}
    with write(connection):
        model_id = save_model(
            connection, ModelFacts(identity="synthetic", name="synthetic", options={}, labels=sorted(known))
        )
        folder_id = save_folder(connection, os.fsencode(root))
    remaining = iter(entries)
    while batch := list(itertools.islice(remaining, _BATCH)):
        with write(connection):
            vectors = []
            for entry in batch:
                for word in entry.scores:
                    if word not in ids:
                        term = known.get(word) or Term(word=word, kind="label")
                        ids[word] = save_term(connection, term)
                pixels = pixels_of(entry)
                for word, verdict in entry.decisions.items():
                    connection.execute(
                        "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, '2026-01-01T00:00:00Z')",
                        (pixels, word.casefold(), word, verdict),
                    )
                content_id = None
                if entry.error is None:
                    content = Content(
                        pixels=pixels, width=entry.width, height=entry.height,
                        hash=entry.hash, mirrored_hash=entry.mirrored_hash,
                        scores={ids[word]: score for word, score in entry.scores.items()},
                    )  # fmt: skip
                    content_id = save_content(connection, content, model_id=model_id)
                    if entry.embedding is not None:
                        vectors.append((content_id, entry.embedding))
                facts = PhotoFacts(
                    type=entry.type, taken=entry.taken, camera=entry.camera,
                    has_gps=entry.has_gps, keywords=entry.keywords,
                )  # fmt: skip
                save_file(
                    connection,
                    StoredFile(
                        folder_id=folder_id, path=os.fsencode(entry.path), size=entry.size, mtime_ns=0,
                        sha256=hashlib.sha256(os.fsencode(entry.path)).digest(), content_id=content_id,
                        error=entry.error, facts=facts,
                    ),
                )  # fmt: skip
            save_vectors(connection, vectors, model_id=model_id)
    return gallery


def synthesize(count: int, *, dimensions: int = 0, seed: int = 0) -> Iterator[Entry]:
    """Entries like those of a large collection: about ten terms, a date and a hash each, some keywords.

    ``dimensions`` is the length of the embeddings; 0 leaves them out.
    """
    random = np.random.default_rng(seed)
    classes = read_classes()
    start = datetime(2015, 1, 1)
    weights = 1 / np.arange(1, len(classes) + 1)  # some things are photographed often
    weights /= weights.sum()
    for number in range(count):
        scores: dict[str, float] = {}
        chosen = random.choice(len(classes), size=4, replace=False, p=weights)
        for index, share in zip(chosen, (0.7, 0.2, 0.05, 0.03), strict=True):
            for concept in classes[index].climb():
                scores[concept.word] = min(1.0, scores.get(concept.word, 0.0) + share)
        taken = start + timedelta(minutes=50 * number)
        yield Entry(
            path=f"{ROOT}/{taken:%Y}/{taken:%m-%d}/IMG_{number:06}.jpg",
            scores=scores,
            keywords=("family", "Rex") if number % 20 == 0 else (),
            decisions={classes[chosen[0]].word: ("confirmed", "rejected")[number % 3 == 0]}
            if number % 50 == 0
            else {},
            hash=int(random.integers(-(2**63), 2**63 - 1)),
            mirrored_hash=int(random.integers(-(2**63), 2**63 - 1)),
            embedding=random.standard_normal(dimensions, np.float32) if dimensions else None,
            taken=taken.isoformat(),
            camera=CAMERAS[number % len(CAMERAS)],
            has_gps=number % 3 == 0,
            type=TYPES[number % 40] if number % 40 < len(TYPES) else "jpeg",
        )


def _known_terms() -> dict[str, Term]:
    def convert(concept: Concept, kind: str) -> Term:
        return Term(word=concept.word, kind=kind, synonyms=concept.synonyms)

    labels = {term.word: convert(term, "label") for term in read_classes()}
    return labels | {word: convert(term, "concept") for word, term in read_concepts().items()}

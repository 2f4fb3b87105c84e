"""Measure the lowest scores of keywords, and write them into src/pictag/keywords/cuts.json.

``python -m benchmarks.keyword_cuts`` uses half of the photographs and of the held-out images; the benchmark
``keywords`` reports on the other half.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import ROOT, SHARED
from pictag import pipeline
from pictag.errors import MissingExtra, ModelNotFound
from pictag.keywords.cuts import PATH
from pictag.vocabulary import LabelConcepts, match_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline

# The share of right keywords that the cuts are chosen for: above the figures' targets, because it is measured
# on few images.
PRECISION = {
    "efficientnet-lite0": 0.975, "efficientnet-lite1": 0.975, "efficientnet-lite2": 0.975, "embedded": 0.93,
}  # fmt: skip
_STEPS = [round(0.3 + 0.02 * step, 2) for step in range(31)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The scores of images [N, L], and the index of each one's class."""

    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    concepts: LabelConcepts

    def half(self, which: int) -> Sample:
        """Every other image: 0 for the cuts, 1 for the figures."""
        return Sample(scores=self.scores[which::2], classes=self.classes[which::2], concepts=self.concepts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Counts of keywords, right ones and all, and of images, without a keyword and with a right one."""

    right: int
    total: int
    images: int
    without: int
    with_right: int

    @property
    def precision(self) -> float:
        """The share of keywords that are true of the image's class: it or a concept above it."""
        return self.right / max(self.total, 1)


def collect(name: str) -> Sample:
    """The sample of a model: held-out images of Tiny ImageNet for the embedded one, else photographs."""
    with pipeline(model=name) as classifier:
        wordnet_ids = classifier.model.config_json.get("wordnet_ids", ())
        concepts = match_labels(classifier.labels, wordnet_ids)
        places = {term.id: place for place, term in enumerate(concepts.labels) if term is not None}
        pairs = iterate_held_out() if name == "embedded" else _photographs()
        inputs, ids = zip(*pairs, strict=True)
        scores = _score(classifier, inputs)
    return Sample(scores=scores, classes=np.array([places[i] for i in ids]), concepts=concepts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The scores of concepts and of labels; a column of ``truth`` [N, words] for each word."""

    sums: NDArray[np.float32]
    scores: NDArray[np.float32]
    columns: tuple[NDArray[np.int64], NDArray[np.int64]]  # of the words of concepts and of labels
    truth: NDArray[np.bool_]

    def judge(self, *, label_cut: float, concept_cut: float) -> Quality:
        """Count the keywords as `pictag.keywords` chooses them."""
        chosen = np.zeros_like(self.truth)
        for scores, columns, cut in zip(
            (self.sums, self.scores), self.columns, (concept_cut, label_cut), strict=True
        ):
            rows, found = np.nonzero(scores >= cut)
            chosen[rows, columns[found]] = True
        right = chosen & self.truth
        return Quality(
            right=int(right.sum()),
            total=int(chosen.sum()),
            images=len(chosen),
            without=int((~chosen.any(axis=1)).sum()),
            with_right=int(right.any(axis=1).sum()),
        )


def tabulate(sample: Sample) -> Table:
    """The table of a sample. A label and a concept with the same word are one keyword."""
    concepts = sample.concepts
    words: dict[str, int] = {}
    for term in (*concepts.broader, *concepts.labels):
        assert term is not None
        words.setdefault(term.word.casefold(), len(words))
    truth = np.zeros((len(sample.scores), len(words)), bool)
    for row, place in enumerate(sample.classes.tolist()):
        term = concepts.labels[place]
        assert term is not None
        truth[row, [words[above.word.casefold()] for above in term.climb()]] = True
    broader, labels = (
        np.array([words[term.word.casefold()] for term in terms if term is not None])
        for terms in (concepts.broader, concepts.labels)
    )
    return Table(
        sums=np.stack([concepts.combine(row, exclusive=True) for row in sample.scores]),
        scores=sample.scores,
        columns=(broader, labels),
        truth=truth,
    )


def choose(table: Table, *, precision: float) -> tuple[float, float]:
    """The label's and the concept's cut with the most right keywords at this precision."""
    found = []
    for label_cut, concept_cut in itertools.product(_STEPS, _STEPS):
        if label_cut >= concept_cut - 0.1:  # a label is never more certain than the concepts above it
            quality = table.judge(label_cut=label_cut, concept_cut=concept_cut)
            if quality.precision >= precision:
                found.append((quality.right, label_cut, concept_cut))
    if not found:
        raise SystemExit(f"No cut reaches a precision of {precision}.")
    _, label_cut, concept_cut = max(found)
    return label_cut, concept_cut


def _score(classifier: ImageClassificationPipeline[Any], inputs: tuple[Any, ...]) -> NDArray[np.float32]:
    rows = []
    for prediction in classifier.stream(inputs, top_k=1, all_scores=True):
        assert prediction.scores is not None, prediction.error
        rows.append(prediction.scores)
    return np.stack(rows)


def _photographs() -> Iterator[tuple[str, str]]:
    for path in sorted((SHARED / "images" / "imagenet").glob("*_n*.jpg")):
        yield str(path), path.name.split("_")[1]


def iterate_held_out() -> Iterator[tuple[bytes, str]]:
    """The images that the training of the embedded model held out; its seed gives the same split."""
    sys.path.insert(0, str(ROOT / "training"))
    from data import ARCHIVES, iterate_archive, read_classes, split_images

    folder = SHARED / "datasets"
    index = {wordnet_id: place for place, wordnet_id in enumerate(read_classes(folder).wordnet_ids)}
    images = [entry for archive in sorted(folder.glob(ARCHIVES)) for entry in iterate_archive(archive)]
    labels = np.array([index[wordnet_id] for wordnet_id, _ in images], dtype=np.int64)
    for place in split_images(labels).held_out:
        yield images[place][1], images[place][0]


def main() -> None:
    content = json.loads(PATH.read_text(encoding="utf-8"))
    for name, precision in PRECISION.items():
        try:
            table = tabulate(collect(name).half(0))
        except (MissingExtra, ModelNotFound) as error:
            print(error)
            continue
        label_cut, concept_cut = choose(table, precision=precision)
        quality = table.judge(label_cut=label_cut, concept_cut=concept_cut)
        kind = "held-out images of Tiny ImageNet" if name == "embedded" else "photographs of ImageNet"
        content[name] = {
            "label": label_cut,
            "concept": concept_cut,
            "how": f"chosen on {quality.images:,} {kind} for a precision of {precision}: {quality.right:,} "
            f"of {quality.total:,} keywords were right (benchmarks/keyword_cuts.py)",
        }
        print(name, content[name])
    content["other models"] = content.pop("other models")  # the last one
    PATH.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

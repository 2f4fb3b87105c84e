"""Teaching: accuracy with few images, the exported model against the fitted one, refusals, and time."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.figures import MOBILENET_V2, ROOT, SHARED, Figure, Options, print_progress, require_shared
from pictag import pipeline
from pictag.evaluation import read_labelled
from pictag.similarity import describe, find_cosine_cut, normalize
from pictag.teaching import teach
from pictag.teaching.examples import ExampleCollector, read_examples
from pictag.teaching.fit import activate, fit
from pictag.teaching.held_out import measure_auc, summarize
from pictag.teaching.lesson import list_labels
from pictag.teaching.near_copies import find_near_copies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pictag.teaching.examples import Example
    from pictag.teaching.fit import Fitted
    from pictag.teaching.held_out import CrossValidation

LITE0, EMBEDDED = "efficientnet-lite0", "embedded"
FEW = {5: 0.90, 20: 0.94, 50: 0.96}
DRAWS = 5
SHUFFLES = 20
_TINY_CLASSES, _TINY_IMAGES = 10, 200


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _unpack("ants-bees.tar.xz", place / "insects")
        figures = [*_measure_few(place), *_measure_export(place), *_measure_refusals(place)]
        if not options.quick:
            figures += [*_measure_time(place), *_measure_pneumonia(place)]
    return figures


def _measure_few(place: Path) -> Iterator[Figure]:
    for base in (LITE0, EMBEDDED):
        train, test = (collect(place / "insects" / split, base) for split in ("train", "val"))
        for count, target in FEW.items():
            accuracies, refused = [], 0
            for draw in range(DRAWS):
                chosen = _draw(train, count, draw)
                fitted, found = learn(chosen, base)
                accuracies.append(_measure_accuracy(fitted, test))
                refused += not found.is_better_than_chance
            yield Figure(
                name=f"teach, {base}: accuracy with {count} images per class, ants and bees",
                measured=float(np.mean(accuracies)),
                target=target if base == LITE0 else 0, unit="", more=True,
                detail=f"on the {len(test)} images of val; {DRAWS} draws: "
                f"{', '.join(f'{value:.3f}' for value in accuracies)}; teach refuses {refused} of them",
            )  # fmt: skip


def _measure_export(place: Path) -> Iterator[Figure]:
    cases: tuple[tuple[str, Any, dict[str, Any], str, float], ...] = (
        ("ONNX Runtime", LITE0, {}, "onnxruntime", 1e-5),
        ("OpenVINO", LITE0, {}, "openvino", 1e-4),
        ("8-bit base", MOBILENET_V2, {"dtype": "q8", "engine": "onnxruntime"}, "onnxruntime", 1e-3),
    )
    images = sorted((place / "insects" / "val").rglob("*.jpg"))
    for name, base, how, engine, target in cases:
        output = place / "model"
        teach(place / "insects", output, base=base, split="train", overwrite=True, **how)
        examples = read_examples(output)
        fitted, _ = learn(examples, str(base))
        with pipeline(model=base, embeddings=True, batch_size=1, **how) as original:
            points = normalize(original.embed(images))
        meant = activate(fitted.head.apply(points.astype(np.float64)), is_multi_label=False)
        with pipeline(model=output, engine=engine, all_scores=True) as taught:
            found = np.stack([p.scores for p in taught.stream(images) if p.scores is not None])
        yield Figure(
            name=f"teach: largest difference of a score from the fitted model, {name}",
            measured=float(np.abs(meant - found).max()), target=target, unit="of 1",
            detail=f"{np.abs(meant - found).max():.1e}, {len(images)} images of val",
        )  # fmt: skip


def _measure_refusals(place: Path) -> Iterator[Figure]:
    train = collect(place / "insects" / "train", LITE0)
    accepted = 0
    for seed in range(SHUFFLES):
        order = np.random.default_rng(seed).permutation(len(train))
        shuffled = [replace(example, labels=train[i].labels) for example, i in zip(train, order, strict=True)]
        accepted += learn(shuffled, LITE0)[1].is_better_than_chance
    yield Figure(
        name="teach: random labels that are accepted", measured=accepted / SHUFFLES, target=0.05, unit="",
        detail=f"{accepted} of {SHUFFLES} shuffles of {len(train)} labels; by chance 2.5 %",
    )  # fmt: skip
    copies = place / "copies"
    generator = np.random.default_rng(0)
    for number, path in enumerate(sorted((place / "insects" / "train").rglob("*.jpg"))[:120:2]):
        folder = copies / ("heads" if generator.integers(2) else "tails")
        folder.mkdir(parents=True, exist_ok=True)
        for copy, image in enumerate(_vary(Image.open(path).convert("RGB"))):
            image.save(folder / f"{number}-{copy}.png")
    examples = collect(copies, LITE0)
    together = learn(examples, LITE0)[1]
    apart = learn(examples, LITE0, use_groups=False)[1]
    yield Figure(
        name="teach: accuracy above chance with planted copies and random labels",
        measured=together.figure.value - together.chance, target=0.1, unit="",
        detail=f"60 photographs in 5 variants: {together.figure.value:.3f}, chance {together.chance:.3f}; "
        f"without groups {apart.figure.value:.3f}; "
        f"{'refused' if not together.is_better_than_chance else 'accepted'}",
    )  # fmt: skip


def _measure_time(place: Path) -> Iterator[Figure]:
    photos = place / "tiny"
    for part in (0, 1):
        _unpack(f"tiny-imagenet-train-{part}.tar.xz", photos, classes=_TINY_CLASSES)
    for folder in photos.iterdir():
        for path in sorted(folder.iterdir())[_TINY_IMAGES:]:
            path.unlink()
    for base in (LITE0, EMBEDDED):
        plain = _measure_core_time(
            "classify", str(photos), "-r", "--model", base, "--embeddings", "-o", str(place / f"{base}.jsonl")
        )
        whole = _measure_core_time("teach", str(photos), "--base", base, "-o", str(place / f"{base}-time"))
        yield Figure(
            name=f"teach, {base}: core time over 1.3 × the plain embedding pass",
            measured=whole - 1.3 * plain, target=5, unit="s",
            detail=f"{_TINY_CLASSES * _TINY_IMAGES:,} images, {_TINY_CLASSES} classes: teach {whole:.1f} s, "
            f"classify --embeddings {plain:.1f} s",
        )  # fmt: skip


def _measure_pneumonia(place: Path) -> Iterator[Figure]:
    _unpack("pneumonia-xray-28px.tar.xz", place / "xrays")
    train, test = (collect(place / "xrays" / split, LITE0) for split in ("train", "val"))
    fitted, found = learn(train, LITE0)
    scores = _score(fitted, test)
    truth = np.array([example.labels == ("pneumonia",) for example in test])
    detail = (
        f"{len(train):,} images of train, {len(test)} of val; cross-validation says {found.figure.value:.3f} "
        f"({found.figure.low:.3f} to {found.figure.high:.3f}, n {found.figure.n:,})"
    )
    for name, value, target in (
        ("accuracy", _measure_accuracy(fitted, test), 0.92),
        ("area under the ROC curve", measure_auc(scores[:, 1], truth), 0.97),
    ):
        yield Figure(
            name=f"teach, {LITE0}: {name}, PneumoniaMNIST", measured=value, target=target, unit="", more=True,
            detail=detail,
        )  # fmt: skip


def collect(folder: Path, base: str) -> list[Example]:
    """The examples in a folder of classes."""
    print_progress(f"{base}: {folder.parent.name}/{folder.name}")
    images = read_labelled(folder).images
    sink = ExampleCollector(images)
    with pipeline(model=base, embeddings=True, batch_size=1) as classifier:
        for prediction in classifier.stream((image.source for image in images), observe=describe):
            sink.write(prediction)
    return sink.examples


def learn(
    examples: Sequence[Example], base: str, *, use_groups: bool = True
) -> tuple[Fitted, CrossValidation]:
    """Fit a layer and judge it, as ``teach`` does."""
    labels = list_labels([example.labels for example in examples])
    targets = np.array([[label in example.labels for label in labels] for example in examples])
    groups = np.arange(len(examples))
    if use_groups:
        groups = find_near_copies(examples, targets, find_cosine_cut(base)).groups
    fitted = fit(np.stack([e.embedding for e in examples]), targets, groups, is_multi_label=False)
    names = [example.name for example in examples]
    return fitted, summarize(fitted, targets, groups, labels=labels, names=names, is_multi_label=False)


def _draw(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    generator = np.random.default_rng(seed)
    labels = np.array([example.labels[0] for example in examples])
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return [examples[index] for index in np.concatenate(chosen)]


def _score(fitted: Fitted, examples: Sequence[Example]) -> NDArray[np.float64]:
    points = np.stack([example.embedding for example in examples]).astype(np.float64)
    return activate(fitted.head.apply(points), is_multi_label=False)


def _measure_accuracy(fitted: Fitted, examples: Sequence[Example]) -> float:
    labels = list_labels([example.labels for example in examples])
    best = _score(fitted, examples).argmax(axis=1)
    return float(np.mean([labels[i] == e.labels[0] for i, e in zip(best, examples, strict=True)]))


def _vary(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=40)
    yield image
    yield Image.open(packed).convert("RGB")
    yield image.resize((width // 2, height // 2))
    yield image.crop((width // 20, height // 20, width - width // 20, height - height // 20))
    yield image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _unpack(name: str, place: Path, *, classes: int | None = None) -> None:
    """Unpack a data set, or only every twentieth class of Tiny ImageNet."""
    with tarfile.open(SHARED / "datasets" / name) as archive:
        members = archive.getmembers()
        if classes is not None:
            folders = sorted({member.name.split("/")[0] for member in members})
            chosen = set(itertools.islice(folders, 0, None, len(folders) // classes))
            members = [member for member in members if member.name.split("/")[0] in chosen]
        archive.extractall(place, members, filter="data")


def _measure_core_time(*arguments: str) -> float:
    command = [sys.executable, "-m", "pictag", *arguments, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}: {errors.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime

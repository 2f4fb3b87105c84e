"""Keywords: how many are right, on images that weren't used to choose the cuts, and what they cost."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT, SHARED, Figure, Options, print_progress, require_shared
from benchmarks.keyword_cuts import Quality, Table, collect, tabulate
from pictag.errors import MissingExtra, ModelNotFound
from pictag.keywords.cuts import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

# Right keywords (share), keywords for an image, images without any (share).
TARGETS = {
    "efficientnet-lite0": (0.97, 2.5, 0.10),
    "efficientnet-lite1": (0.97, 2.5, 0.10),
    "efficientnet-lite2": (0.97, 2.5, 0.10),
    "embedded": (0.90, 1.2, 0.45),
}
TIMED = ("efficientnet-lite0", "embedded")
ROUNDS = 11
NO_CUT = 2.0  # no score reaches it


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    figures = []
    for name, targets in TARGETS.items():
        try:
            figures += _measure_quality(name, targets)
        except (MissingExtra, ModelNotFound) as error:
            print_progress(f"{name} is left out: {error}")
        else:
            if name in TIMED:
                figures += _measure_cost(name, rounds=1 if options.quick else ROUNDS)
    return figures


def _measure_quality(name: str, targets: tuple[float, float, float]) -> list[Figure]:
    import json

    cuts = json.loads(PATH.read_text(encoding="utf-8"))[name]
    table = tabulate(collect(name).half(1))
    found = table.judge(label_cut=cuts["label"], concept_cut=cuts["concept"])
    labels = _labels_alone(table, found.precision)
    with_right, alone = found.with_right / found.images, labels.with_right / labels.images
    detail = f"{found.images:,} images that weren't used for the cuts {cuts['label']} and {cuts['concept']}"
    return [
        Figure(
            name=f"keywords, {name}: share of keywords that are right",
            measured=found.precision, target=targets[0], unit="", more=True,
            detail=f"{detail}; {found.right:,} of {found.total:,}",
        ),
        Figure(
            name=f"keywords, {name}: keywords for an image",
            measured=found.total / found.images, target=targets[1], unit="", more=True, detail=detail,
        ),
        Figure(
            name=f"keywords, {name}: share of images without a keyword",
            measured=found.without / found.images, target=targets[2], unit="", detail=detail,
        ),
        Figure(
            name=f"keywords, {name}: share of images with a right keyword",
            measured=with_right, target=alone, unit="", more=True,
            detail=f"labels alone: {alone:.3f} at the same precision ({labels.precision:.3f})",
        ),
    ]  # fmt: skip


def _labels_alone(table: Table, precision: float) -> Quality:
    """The labels with the lowest cut that gives them this precision."""
    for cut in range(30, 100):
        quality = table.judge(label_cut=cut / 100, concept_cut=NO_CUT)
        if quality.precision >= precision:
            return quality
    return quality


def _measure_cost(model: str, *, rounds: int) -> list[Figure]:
    """Core time of whole processes over the photographs.

    The commands of a round run one after another, and each round has its own ratios: a busy machine slows all
    commands of a round, but not all rounds.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        shutil.copytree(SHARED / "images" / "imagenet", folder)
        common = [str(folder), "--model", model, "--quiet", "--format", "jsonl"]
        pictag = [sys.executable, "-m", "pictag"]
        commands = {
            "classify": [*pictag, "classify", *common],
            "keywords --dry-run": [*pictag, "keywords", *common, "--xmp", "--dry-run"],
            "keywords --xmp": [*pictag, "keywords", *common, "--xmp"],
        }
        times: dict[str, list[float]] = {command: [] for command in commands}
        _measure_core_time(commands["classify"])  # reads the files into memory
        count, sidecars = len(list(folder.iterdir())), 0
        for place in range(rounds):
            for key in sorted(commands, reverse=bool(place % 2)):
                times[key].append(_measure_core_time(commands[key]))
                found = list(folder.glob("*.xmp"))
                sidecars = max(sidecars, len(found))
                for sidecar in found:
                    sidecar.unlink()
    classify, dry, written = times.values()
    medians = ", ".join(f"{key} {statistics.median(found):.2f} s" for key, found in times.items())
    detail = f"{count} photographs, {sidecars} sidecars, median of {rounds} rounds; {medians}"
    return [
        _compare(f"keywords --dry-run, {model}: core time over classify", dry, classify, 1.05, detail),
        _compare(f"keywords --xmp, {model}: core time over --dry-run", written, dry, 1.10, detail),
    ]


def _compare(name: str, times: list[float], base: list[float], target: float, detail: str) -> Figure:
    """The median over the rounds of the ratio of two core times."""
    ratios = [one / other for one, other in zip(times, base, strict=True)]
    return Figure(
        name=name, measured=statistics.median(ratios), target=target, unit="",
        detail=f"{min(ratios):.3f} to {max(ratios):.3f}; {detail}",
    )  # fmt: skip


def _measure_core_time(command: Sequence[str]) -> float:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime

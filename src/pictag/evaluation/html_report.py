"""The report: a self-contained HTML file without scripts or external resources."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pictag import __version__
from pictag.errors import InputError
from pictag.evaluation.charts import (
    draw_confusions,
    draw_interval,
    draw_reliability,
    draw_thresholds,
)
from pictag.evaluation.estimates import Estimate
from pictag.images.thumbnail import make_thumbnail

if TYPE_CHECKING:
    from pictag.evaluation.figures import Evaluation, JudgedImage

MISTAKES = 24
_SHOWN_CLASSES = 12
_MOST_CELLS = 16
_MOST_PAIRS = 12
_MOST_CONCEPTS = 12
_MOST_FAILURES = 50
_THUMBNAIL = 224  # pixels
_QUALITY = 78

TITLES = {
    "top1": "Top-1 accuracy",
    "top3": "Top-3 accuracy",
    "top5": "Top-5 accuracy",
    "exact": "All labels right",
    "mean_average_precision": "Mean average precision",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "micro_precision": "Micro precision",
    "micro_recall": "Micro recall",
    "micro_f1": "Micro F1",
    "concept": "Concept accuracy",
    "ece": "Calibration error",
    "brier": "Brier score",
    "log_loss": "Log loss",
}
EXPLANATIONS = {
    "top1": "the best label is right",
    "top3": "the right label is among the best three",
    "top5": "the right label is among the best five",
    "exact": "all labels of the image are right",
    "mean_average_precision": "the average precision, averaged over labels",
    "macro_precision": "the share of predictions that are right, averaged over classes",
    "macro_recall": "the share of images that are found, averaged over classes",
    "macro_f1": "F1, which combines precision and recall, averaged over classes",
    "micro_precision": "over all predictions together",
    "micro_recall": "over all labels together",
    "micro_f1": "over all predictions and labels together",
    "concept": "the best label belongs to the same broader concept, such as another terrier",
    "ece": "the mean difference between scores and accuracy; smaller is better",
    "brier": "the squared difference between scores and truth; smaller is better",
    "log_loss": "penalises confident mistakes most; smaller is better",
}
NUMBERS = ("brier", "log_loss")  # not shares
LEADING = {
    "single_label": ("top1", "top5", "macro_f1", "concept", "ece"),
    "multi_label": ("mean_average_precision", "micro_f1", "macro_f1", "exact", "ece"),
}


def render_report(found: Evaluation) -> str:
    """The report as HTML text. The images of the worst mistakes are read again and embedded."""
    by_f1 = sorted(found.classes, key=lambda figures: (_order(figures.f1.value), -figures.images))
    wrong = sort_mistakes(found)
    curve = found.curve
    text = _open_template().render(
        found=found,
        version=__version__,
        titles=TITLES,
        show_value=show_value,
        show_range=show_range,
        explanations=EXPLANATIONS,
        leading=[name for name in LEADING[found.kind] if name in found.figures],
        by_f1=by_f1,
        shown_classes=_SHOWN_CLASSES,
        threshold_chart=None if curve is None else draw_thresholds(curve, len(found.images)),
        reliability_chart=draw_reliability(found.reliability),
        matrix=draw_matrix(found),
        most_cells=_MOST_CELLS,
        pairs=found.confusions[:_MOST_PAIRS],
        concepts=found.concepts[:_MOST_CONCEPTS],
        mistakes=[(image, embed_image(image)) for image in wrong[:MISTAKES]],
        wrong_count=len(wrong),
        failures=found.failures[:_MOST_FAILURES],
        bias=measure_bias(found),
    )
    # Bytes of file names that aren't UTF-8.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sort_mistakes(found: Evaluation) -> list[JudgedImage]:
    """The images that are wrong, those with the highest score first."""
    return sorted((image for image in found.images if not image.is_right), key=lambda image: -image.score)


def draw_matrix(found: Evaluation) -> Markup | None:
    """The matrix of the most confused classes; ``None`` if no mistake occurs twice."""
    if found.kind != "single_label" or not any(count > 1 for _, _, count in found.confusions):
        return None
    confused = [name for truth, predicted, _ in found.confusions for name in (truth, predicted)]
    others = [figures.name for figures in found.classes] if len(found.classes) <= _MOST_CELLS else []
    names = sorted(list(dict.fromkeys((*confused, *others)))[:_MOST_CELLS])
    pairs = {(truth, predicted): count for truth, predicted, count in found.confusions}
    right = Counter(image.truth[0] for image in found.images if image.is_right)
    counts = [[right[a] if a == b else pairs.get((a, b), 0) for b in names] for a in names]
    return draw_confusions(names, counts)


def measure_bias(found: Evaluation) -> float:
    """How much higher the scores are than the share that is right, on average; negative if lower."""
    bins = found.reliability
    filled = bins.counts > 0
    gaps = (bins.mean_score - bins.share_right)[filled]
    return float((gaps * bins.counts[filled]).sum() / bins.counts.sum())


def embed_image(image: JudgedImage) -> str | None:
    """The image as a ``data:`` URL, small; ``None`` if it can no longer be read."""
    try:
        jpeg = make_thumbnail(image.source, size=_THUMBNAIL, quality=_QUALITY)
    except InputError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def show_share(value: float | None, digits: int = 1) -> str:
    """A share as a percentage, "–" for one that doesn't exist.

    >>> show_share(0.8125), show_share(None)
    ('81.2 %', '–')
    """
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def show_interval(estimate: Estimate) -> str:
    """The interval of a share, such as ``80–90 %``; empty without one."""
    if not math.isfinite(estimate.low):
        return ""
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f} %"


def show_number(value: float | None) -> str:
    """A number with three digits after the point, "–" for one that doesn't exist."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def show_value(name: str, value: float) -> str:
    """A figure as its name says: a share as a percentage, others as numbers.

    >>> show_value("top1", 0.8125), show_value("log_loss", 0.8125)
    ('81.2 %', '0.812')
    """
    return show_number(value) if name in NUMBERS else show_share(value)


def show_range(name: str, estimate: Estimate) -> str:
    """The interval of a figure, as `show_value` shows the figure."""
    if name not in NUMBERS:
        return show_interval(estimate)
    return f"{show_number(estimate.low)}–{show_number(estimate.high)}"


def show_threshold(threshold: float | None) -> str:
    """A threshold, "none" for 0, and "not reached" if there is none."""
    return "not reached" if threshold is None else show_number(threshold) if threshold else "none"


@cache
def _open_template() -> Template:
    environment = Environment(
        loader=PackageLoader("pictag.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": show_share,
        "interval": show_interval,
        "threshold": show_threshold,
        "number": show_number,
        "bar": draw_interval,
        "names": _join_names,
    }
    return environment.get_template("report.html.j2")


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _order(value: float) -> float:
    return value if math.isfinite(value) else -1.0

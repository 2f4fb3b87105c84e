"""Which output of a graph has the scores, and whether they are logits or probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.errors import InvalidModel, OptionError, shorten, suggest
from pictag.models.graph_values import TensorKinds

if TYPE_CHECKING:
    from pictag.models.graph_file import Graph
    from pictag.models.graph_values import Maker
    from pictag.options import Outputs

Shape = tuple[int | None, ...]

FLOATS = ("float32", "float16", "float64", "unknown")
# Where several outputs fit, "logits" is the one with the scores, or the only one with one of these names.
_NAMES = ("scores", "probabilities", "probs")
_HOW_TO_NAME = (
    "Name the output with the scores with output_name= (--model-output-name), or with output_name in the "
    "model's card.json or pictag.toml."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The output with the scores, or ``None`` as its name if the graph doesn't say which it is.

    ``outputs`` says what they are, or ``None`` if the graph doesn't show it: then test images do. ``why`` is
    the reason in words.
    """

    name: str | None
    outputs: Outputs | None
    why: str


def find_scores(
    graph: Graph,
    *,
    label_count: int,
    name: str | None = None,
    outputs: Outputs | None = None,
    source: str = "",
) -> Scores:
    """The output of a graph that has one score for each label, chosen by type, shape and name.

    ``name`` and ``outputs`` are what somebody said about it, and ``source`` is where. Raises `InvalidModel`
    if no output fits or several do, and `OptionError` for a ``name`` that doesn't exist.
    """
    kinds = TensorKinds(graph)
    chosen = (
        _choose_output(graph, kinds, label_count) if name is None else _check_name(graph, name, label_count)
    )
    if outputs is not None:
        return Scores(name=chosen, outputs=outputs, why=f"{source} says so")
    kind = kinds.find(chosen)
    if kind not in ("probabilities", "logits"):
        return Scores(name=chosen, outputs=None, why="the graph's operations don't show it")
    maker = kinds.find_maker(chosen)
    ending = f"{maker.op} with {maker.attributes.get('activation', '')}".removesuffix(" with ")
    is_softmax = kind == "probabilities" and "Softmax" in ending
    if is_softmax and label_count == 1:
        raise InvalidModel(
            f"The graph ends in {ending}, which is 1 for every image, because the model's files name one "
            "label. Export the model with a sigmoid, or without an activation."
        )
    if is_softmax and not _may_span_labels(maker, graph.outputs[chosen], graph.opset):
        return Scores(name=chosen, outputs=None, why=f"the graph's {ending} may not be one over the labels")
    return Scores(name=chosen, outputs=kind, why=f"the graph ends in {ending}")


def _may_span_labels(maker: Maker, shape: Shape | None, opset: int) -> bool:
    """Whether a softmax may be one over the labels of each image, as far as its axis and the shape say.

    Over the images of a batch, or over a dimension of 1, it is 1 for everything.
    """
    if not maker.has_same_shape or not shape or len(shape) == 1:
        return True
    # Before version 13, it is over all dimensions from the axis on.
    is_over_all = opset < 13
    axis = int(maker.attributes.get("axis", 1 if is_over_all else -1)) % len(shape)
    sides = shape[axis:] if is_over_all else shape[axis : axis + 1]
    return axis != 0 and any(side != 1 for side in sides)


def fits_labels(shape: Shape | None, label_count: int) -> bool | None:
    """Whether an output of this shape has one score for each label; ``None`` if the shape leaves it open.

    The first dimension is the batch. Of the others, one is the labels and the rest are 1. An output of rank 1
    holds the scores of a batch of one, or one score for each image.

    >>> fits_labels((None, 3), 3), fits_labels((1, 1, 1, 3), 3), fits_labels((3,), 3)
    (True, True, True)
    >>> fits_labels((None, 5), 3)
    False
    >>> fits_labels((None, None), 3) is fits_labels(None, 3) is None
    True
    """
    if not shape:
        return None
    if len(shape) == 1:
        return True if label_count == 1 or shape[0] == label_count else None if shape[0] is None else False
    wide = [side for side in shape[1:] if side not in (None, 1)]
    if len(wide) > 1 or (wide and wide[0] != label_count):
        return False
    return None if None in shape[1:] else wide == [label_count] or label_count == 1


def _choose_output(graph: Graph, kinds: TensorKinds, label_count: int) -> str:
    if not graph.outputs:
        raise InvalidModel("The graph has no outputs.")
    floats = {
        name: fits_labels(shape, label_count)
        for name, shape in graph.outputs.items()
        if graph.output_types.get(name, "unknown") in FLOATS
    }
    # Files that contradict a graph are an error, even if another output has the right width by chance.
    alone = "logits" if "logits" in floats else next(iter(floats), "") if len(floats) == 1 else ""
    if alone and floats[alone] is False:
        raise InvalidModel(_describe_mismatch(graph, alone, label_count))
    possible = [name for name, fits in floats.items() if fits is not False]
    unranked = [name for name in possible if kinds.find(name) != "ranked"]
    if possible and not unranked:
        raise InvalidModel(
            f"The graph's output {_describe(graph, possible[0])} is sorted by score or counts labels, so its "
            "positions aren't those of the labels. Export the model without TopK or ArgMax."
        )
    if not unranked:
        raise InvalidModel(
            f"The graph has no output of floats with one score for each of the {label_count} labels; its "
            f"outputs are: {_list_outputs(graph)}."
        )
    if "logits" in unranked:
        return "logits"
    pairs = [name for name in unranked if len(graph.outputs[name] or ()) == 2]  # [N, L] and [N, ?]
    named = [name for name in _NAMES if name in pairs]
    best = [name for name in unranked if floats[name] or name in named] or pairs or unranked
    named = [name for name in best if name in _NAMES]
    if len(best) > 1 and len(named) != 1:
        raise InvalidModel(
            f"Several outputs of the graph may have the scores of the {label_count} labels: "
            f"{_list_outputs(graph, best)}. {_HOW_TO_NAME}"
        )
    return named[0] if len(best) > 1 else best[0]


def _check_name(graph: Graph, name: str, label_count: int) -> str:
    if name not in graph.outputs:
        raise OptionError(
            f"output_name={shorten(repr(name))} is not an output of the graph; its outputs are: "
            f"{_list_outputs(graph)}.{suggest(name, graph.outputs)}"
        )
    if graph.output_types.get(name, "unknown") not in FLOATS:
        raise InvalidModel(
            f"The output {_describe(graph, name)} has no scores, which are floats. The graph's outputs are: "
            f"{_list_outputs(graph)}."
        )
    if fits_labels(graph.outputs[name], label_count) is False:
        raise InvalidModel(_describe_mismatch(graph, name, label_count))
    return name


def _describe_mismatch(graph: Graph, name: str, label_count: int) -> str:
    shape = graph.outputs[name] or ()
    width = shape[1] if len(shape) == 2 else None
    scored = (
        f"The graph scores {width} labels" if width else f"The graph's output is {_describe(graph, name)}"
    )
    return (
        f"{scored}, but the model's files name {label_count}. Labels would be wrong, so the model is not "
        "used. Correct id2label or labels.txt."
    )


def _list_outputs(graph: Graph, names: list[str] | None = None) -> str:
    return shorten(", ".join(_describe(graph, name) for name in names or graph.outputs), 600) or "none"


def _describe(graph: Graph, name: str) -> str:
    shape, kind = graph.outputs[name], graph.output_types.get(name, "of unknown type")
    return f"{shorten(name, 80)} {kind} {'of unknown shape' if shape is None else describe_shape(shape)}"


def describe_shape(shape: Shape) -> str:
    """The shape as text.

    >>> describe_shape((None, 3))
    '[?, 3]'
    """
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"

"""The output with the scores: chosen by type, shape and name, or an error that lists the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pictag.errors import InvalidModel, OptionError
from pictag.models.graph_file import Graph, Node
from pictag.models.scores import find_scores, fits_labels

if TYPE_CHECKING:
    from pictag.models.scores import Shape


def graph(*outputs: tuple[str, str, Shape | None], nodes: tuple[Node, ...] = ()) -> Graph:
    """A graph with outputs of these names, types and shapes."""
    return Graph(
        nodes=list(nodes),
        weights={"k": ()},
        outputs={name: shape for name, _, shape in outputs},
        output_types={name: kind for name, kind, _ in outputs},
    )


def choose(*outputs: tuple[str, str, Shape | None], nodes: tuple[Node, ...] = (), **options: Any) -> str:
    name = find_scores(graph(*outputs, nodes=nodes), label_count=3, **options).name
    assert name is not None
    return name


EMBEDDING = ("embedding", "float32", (None, 5))
SAME_WIDTH = ("embedding", "float32", (None, 3))
LABEL = ("label", "int64", (None, 1))
ORDER = ("order", "int64", (None, 3))
TEXT = ("classLabel", "string", (None, 1))
MAP = ("loss", "sequence", None)
HIDDEN = ("last_hidden_state", "float32", (None, 197, 768))
FEATURES = ("features", "float32", (None, None, None, None))
OUTPUT = ("output", "float32", (None, 3))
OPEN = ("output", "float32", (None, None))
UNSTATED = ("output", "float32", None)


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        ((OUTPUT,), "output"),
        ((UNSTATED,), "output"),
        ((EMBEDDING, OUTPUT), "output"),
        ((LABEL, OUTPUT), "output"),
        ((ORDER, OUTPUT), "output"),
        ((TEXT, OUTPUT, MAP), "output"),
        ((HIDDEN, OPEN), "output"),
        ((FEATURES, OPEN), "output"),
        ((FEATURES, HIDDEN, OUTPUT), "output"),
        ((("y", "float16", (None, 3, 1, 1)), EMBEDDING), "y"),
        ((("y", "float64", (None, 1, 3)), HIDDEN), "y"),
        ((SAME_WIDTH, ("logits", "float32", (None, 3))), "logits"),
        ((SAME_WIDTH, ("logits", "float32", None)), "logits"),
        ((SAME_WIDTH, ("probs", "float32", (None, 3))), "probs"),
        ((SAME_WIDTH, ("probs", "float32", (None, None))), "probs"),
        ((("probabilities", "float32", (None, 3)), ("logits", "float32", (None, 3))), "logits"),
        ((("age", "float32", (None, 9)), ("gender", "float32", (None, 3))), "gender"),
        ((("y", "unknown", (None, 3)), LABEL), "y"),
    ],
)
def test_the_output_that_fits_is_chosen(
    outputs: tuple[tuple[str, str, Shape | None], ...], chosen: str
) -> None:
    assert choose(*outputs) == chosen
    assert choose(*outputs[::-1]) == chosen


@pytest.mark.parametrize(
    "outputs",
    [
        (SAME_WIDTH, OUTPUT),
        (("head_a", "float32", (None, 3)), ("head_b", "float32", (None, 3)), LABEL),
        (("scores", "float32", (None, 3)), ("probs", "float32", (None, 3))),
        (("a", "float32", None), ("b", "float32", None)),
        (("a", "float32", (None, None)), ("b", "float32", (None, None))),
        (("a", "float32", (None, 1, 3)), ("b", "float32", (None, 3))),
    ],
)
def test_where_two_fit_the_error_lists_them_and_names_the_option(
    outputs: tuple[tuple[str, str, Shape | None], ...],
) -> None:
    with pytest.raises(InvalidModel, match=r"output_name= \(--model-output-name\)") as caught:
        choose(*outputs)
    assert outputs[0][0] in str(caught.value)
    assert choose(*outputs, name=outputs[1][0]) == outputs[1][0]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ((), "no outputs"),
        ((HIDDEN,), r"last_hidden_state float32 \[\?, 197, 768\], but the model's files name 3"),
        ((EMBEDDING,), "scores 5 labels, but the model's files name 3"),
        ((("logits", "float32", (None, 5)), SAME_WIDTH), "scores 5 labels, but the model's files name 3"),
        ((ORDER,), r"no output of floats .* order int64 \[\?, 3\]"),
        ((TEXT, MAP), "no output of floats .* loss sequence of unknown shape"),
        ((("y", "uint8", (None, 3)),), r"no output of floats .* y uint8 \[\?, 3\]"),
        ((("y", "bfloat16", (None, 3)),), "bfloat16"),
        ((HIDDEN, EMBEDDING), "no output of floats with one score for each of the 3 labels"),
    ],
)
def test_outputs_that_do_not_fit_are_an_error_that_lists_them(
    outputs: tuple[tuple[str, str, Shape | None], ...], message: str
) -> None:
    with pytest.raises(InvalidModel, match=message):
        choose(*outputs)


def test_an_output_that_is_named_has_to_exist_and_to_fit() -> None:
    outputs = (OUTPUT, EMBEDDING, ORDER)
    assert choose(*outputs, name="output") == "output"
    with pytest.raises(OptionError, match=r"output_name='outputs' is not an output.*Did you mean 'output'\?"):
        choose(*outputs, name="outputs")
    with pytest.raises(InvalidModel, match="scores 5 labels"):
        choose(*outputs, name="embedding")
    with pytest.raises(InvalidModel, match=r"order int64 \[\?, 3\] has no scores"):
        choose(*outputs, name="order")


TOP_K = Node("TopK", ("l", "k"), ("values", "order"))


@pytest.mark.parametrize(
    "nodes",
    [
        (TOP_K, Node("Identity", ("values",), ("output",))),
        (TOP_K, Node("Softmax", ("l",), ("p",)), Node("GatherElements", ("p", "order"), ("output",))),
        (TOP_K, Node("Cast", ("order",), ("output",))),
        (
            Node("ArgMax", ("l",), ("best",)),
            Node("Cast", ("best",), ("f",)),
            Node("Mul", ("f", "k"), ("output",)),
        ),
    ],
)
def test_an_output_that_is_not_in_the_order_of_the_labels_is_an_error(nodes: tuple[Node, ...]) -> None:
    with pytest.raises(InvalidModel, match="positions aren't those of the labels"):
        choose(OUTPUT, nodes=nodes)
    # Beside it, the scores themselves are found.
    assert choose(OUTPUT, ("y", "float32", (None, 3)), nodes=nodes) == "y"


def test_a_threshold_of_the_best_scores_does_not_reorder_them() -> None:
    nodes = (TOP_K, Node("Sub", ("l", "values"), ("output",)))
    assert choose(OUTPUT, nodes=nodes) == "output"


@pytest.mark.parametrize(
    ("shape", "labels", "fits"),
    [
        ((None, 3), 3, True),
        ((1, 1, 1, 3), 3, True),
        ((None, 3, 1), 3, True),
        ((3,), 3, True),
        ((None,), 1, True),
        ((8, 1), 1, True),
        ((8,), 1, True),
        (None, 3, None),
        ((), 3, None),
        ((None,), 3, None),
        ((None, None, 3), 3, None),
        ((None, 3, None, None), 3, None),
        ((None, 4), 3, False),
        ((None, 1), 3, False),
        ((4,), 3, False),
        ((None, 3, 3), 3, False),
        ((None, 3, 7, 7), 3, False),
        ((None, 5), 1, False),
    ],
)
def test_a_shape_fits_the_labels(shape: Shape | None, labels: int, fits: bool | None) -> None:
    assert fits_labels(shape, labels) is fits


def test_what_somebody_says_comes_before_what_the_graph_shows() -> None:
    made = graph(OUTPUT, nodes=(Node("Softmax", ("l",), ("output",)),))
    assert find_scores(made, label_count=3).outputs == "probabilities"
    assert find_scores(made, label_count=3).why == "the graph ends in Softmax"
    said = find_scores(made, label_count=3, outputs="logits", source="card.json")
    assert (said.outputs, said.why) == ("logits", "card.json says so")


@pytest.mark.parametrize("after", ["Identity", "Cast", "Flatten"])
def test_a_softmax_over_one_label_is_an_error(after: str) -> None:
    one = ("y", "float32", (None, 1))
    nodes = (Node("Softmax", ("l",), ("p",)), Node(after, ("p",), ("y",)))
    with pytest.raises(InvalidModel, match="Softmax, which is 1 for every image"):
        find_scores(graph(one, nodes=nodes), label_count=1)
    sigmoid = (Node("Sigmoid", ("l",), ("y",)),)
    assert find_scores(graph(one, nodes=sigmoid), label_count=1).outputs == "probabilities"
    logits = (Node("LogSoftmax", ("l",), ("y",)),)
    assert find_scores(graph(one, nodes=logits), label_count=1).outputs == "logits"


@pytest.mark.parametrize(
    ("shape", "opset", "axis", "outputs"),
    [
        ((None, 3), 17, None, "probabilities"),
        ((None, 3), 17, 1, "probabilities"),
        ((None, 3), 11, -1, "probabilities"),
        ((1, 3, 1, 1), 17, 1, "probabilities"),
        ((1, 3, 1, 1), 7, None, "probabilities"),  # from the second dimension on
        ((None, 1, 3), 17, -1, "probabilities"),
        ((None, 1, 3), 11, 1, "probabilities"),
        ((3,), 17, 0, None),
        ((None, 3), 17, 0, None),
        ((1, 3), 17, -2, None),  # over the images of a batch
        ((None, 3, 1), 17, None, None),  # over a dimension of 1
        ((None, 3, 1), 11, 2, None),
        ((1, 3, 1, 1), 17, 3, None),
    ],
)
@pytest.mark.parametrize("after", ["Identity", "Clip"])
def test_a_softmax_over_something_else_than_the_labels_is_not_trusted(
    shape: Shape, opset: int, axis: int | None, outputs: str | None, after: str
) -> None:
    softmax = Node("Softmax", ("l",), ("p",), attributes={} if axis is None else {"axis": axis})
    made = graph(("y", "float32", shape), nodes=(softmax, Node(after, ("p",), ("y",))))
    made.opset = opset
    assert find_scores(made, label_count=3).outputs == outputs

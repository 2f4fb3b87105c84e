"""Scores are never activated twice, and never taken from another output than that of the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pictag import pipeline
from pictag.engines.registry import list_installed
from pictag.errors import InvalidModel, OptionError
from pictag.pipelines.outputs import judge_scores, make_images
from probegraphs import LABELS, LOGITS, PROBABILITIES, RED, SIGMOIDS, make_model, make_probe, write_probe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline, Label

each_engine = pytest.mark.parametrize("engine", list_installed())


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A graph's end, what the scores of a red image are, and what shows it: the graph or three images."""

    nodes: str
    shown_by: str
    scores: NDArray[Any] = field(default_factory=lambda: PROBABILITIES)
    more: dict[str, Any] = field(default_factory=dict)


def best(classifier: ImageClassificationPipeline[Any], **options: Any) -> Label:
    return classifier.predict(RED, **options)[0].labels[0]


def number(value: Any) -> NDArray[Any]:
    return np.asarray(value, np.float32)


ONE = {"one": number(1)}
PROBES = {
    "softmax": Probe(nodes="y = Softmax<axis=-1>(l)", shown_by="graph"),
    "softmax as torch exports it for opset 11": Probe(
        nodes="l4 = Unsqueeze<axes=[2,3]>(l) t = Transpose<perm=[0,3,2,1]>(l4) s = Softmax<axis=3>(t) "
        "u = Transpose<perm=[0,3,2,1]>(s) y = Flatten<axis=1>(u)",
        shown_by="graph",
        more={"opset": 11},
    ),
    "dropout": Probe(nodes="p = Softmax(l) y = Dropout(p)", shown_by="graph"),
    "clip": Probe(
        nodes="p = Softmax(l) y = Clip(p, low, one)",
        shown_by="graph",
        more={"weights": ONE | {"low": number(1e-7)}},
    ),
    "gather": Probe(
        nodes="p = Softmax(l) y = Gather<axis=1>(p, order)",
        shown_by="graph",
        more={"weights": {"order": np.array([0, 1, 2])}},
    ),
    "cast": Probe(nodes="p = Softmax(l) d = Cast<to=11>(p) y = Cast<to=1>(d)", shown_by="graph"),
    "slices and their concatenation": Probe(
        nodes="p = Softmax(l) a = Slice(p, zero, one, one) b = Slice(p, one, three, one) "
        "y = Concat<axis=1>(a, b)",
        shown_by="graph",
        more={"weights": {"zero": np.array([0]), "one": np.array([1]), "three": np.array([3])}},
    ),
    "background class cut off": Probe(
        nodes="more = MatMul(l, wide) p = Softmax(more) y = Slice(p, zero, three, one)",
        shown_by="graph",
        scores=number([np.exp(4), 1, 1]) / (np.exp(4) + 3),
        more={
            "weights": {
                "wide": np.eye(3, 4, dtype=np.float32),
                **{"zero": np.array([0]), "one": np.array([1]), "three": np.array([3])},
            }
        },
    ),
    "mean of two": Probe(nodes="p = Softmax(l) q = Softmax(l) y = Mean(p, q)", shown_by="graph"),
    "sigmoid": Probe(nodes="y = Sigmoid(l)", shown_by="graph", scores=SIGMOIDS),
    "clipped sigmoid": Probe(
        nodes="p = Sigmoid(l) y = Clip(p, low, one)",
        shown_by="graph",
        scores=SIGMOIDS,
        more={"weights": ONE | {"low": number(0)}},
    ),
    "hard sigmoid": Probe(
        nodes="y = HardSigmoid(l)", shown_by="graph", scores=np.clip(LOGITS * number(0.2) + number(0.5), 0, 1)
    ),
    "sigmoid in a layer that ONNX Runtime fused": Probe(
        nodes='y = com.microsoft.FusedGemm<activation="Sigmoid">(l, same)',
        shown_by="graph",
        scores=SIGMOIDS,
        more={"weights": {"same": np.eye(3, dtype=np.float32)}},
    ),
    "sum of two halves": Probe(
        nodes="p = Softmax(l) q = Softmax(l) s = Add(p, q) y = Mul(s, half)",
        shown_by="images",
        more={"weights": {"half": number(0.5)}},
    ),
    "multiplied by one": Probe(
        nodes="p = Softmax(l) y = Mul(p, one)", shown_by="images", more={"weights": ONE}
    ),
    "regrouped by a matrix": Probe(
        nodes="p = Softmax(l) y = MatMul(p, same)",
        shown_by="images",
        more={"weights": {"same": np.eye(3, dtype=np.float32)}},
    ),
    "decomposed": Probe(
        nodes="m = ReduceMax<axes=[-1], keepdims=1>(l) d = Sub(l, m) e = Exp(d) "
        "s = ReduceSum<keepdims=1>(e, last) y = Div(e, s)",
        shown_by="images",
        more={"weights": {"last": np.array([-1])}},
    ),
    "exponential of a log-softmax": Probe(nodes="s = LogSoftmax(l) y = Exp(s)", shown_by="images"),
    "two classes of one sigmoid": Probe(
        nodes="a = Slice(l, zero, one, one) p = Sigmoid(a) q = Sub(unit, p) r = Sub(p, p) "
        "y = Concat<axis=1>(p, q, r)",
        shown_by="images",
        scores=number([SIGMOIDS[0], 1 - SIGMOIDS[0], 0]),
        more={"weights": {"zero": np.array([0]), "one": np.array([1]), "unit": number(1)}},
    ),
    "softmax in a function": Probe(
        nodes="y = own.Head(l)",
        shown_by="images",
        more={"functions": '<domain: "own", opset_import: ["" : 17]> Head (x) => (z) {z = Softmax(x)}'},
    ),
    "function that is named like an operation": Probe(
        nodes="y = own.Sigmoid(l)",
        shown_by="images",
        more={"functions": '<domain: "own", opset_import: ["" : 17]> Sigmoid (x) => (z) {z = Add(x, x)}'},
        scores=np.exp(2 * LOGITS) / np.exp(2 * LOGITS).sum(),
    ),
    "logits": Probe(nodes="y = Identity(l)", shown_by="graph"),
    "log-softmax": Probe(nodes="y = LogSoftmax(l)", shown_by="graph"),
    "logarithm of a softmax": Probe(nodes="p = Softmax(l) y = Log(p)", shown_by="images"),
    "logits with the largest subtracted": Probe(
        nodes="m = ReduceMax<axes=[1], keepdims=1>(l) y = Sub(l, m)", shown_by="graph"
    ),
    "mean of two heads": Probe(
        nodes="a = MatMul(flat, w) s = Add(a, l) y = Div(s, two)",
        shown_by="graph",
        more={"weights": {"two": number(2)}},
    ),
    "softmax over the images of a batch": Probe(
        nodes="p = Softmax<axis=0>(l) q = Sub(p, p) y = Add(q, l)", shown_by="images"
    ),
}


@pytest.mark.parametrize("name", PROBES)
def test_probabilities_get_no_second_activation_and_logits_get_one(name: str, tmp_path: Path) -> None:
    probe = PROBES[name]
    folder = make_probe(tmp_path, probe.nodes, **probe.more)
    with pipeline(model=folder, top_k=None) as classifier:
        scores = {entry["label"]: entry["score"] for entry in classifier(RED)}
        why = classifier.card.outputs_why
    np.testing.assert_allclose([scores[label] for label in LABELS], probe.scores, atol=1e-5)
    assert ("test images" in why) is (probe.shown_by == "images"), why


def test_a_softmax_in_a_branch_is_seen(tmp_path: Path) -> None:
    model = make_model("y = Identity(l)")
    branch = {
        "then_branch": helper.make_node("Softmax", ["l"], ["a"], axis=-1),
        "else_branch": helper.make_node("Identity", ["l"], ["a"]),
    }
    shape = helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 3])
    graphs = {key: helper.make_graph([node], key, [], [shape]) for key, node in branch.items()}
    model.graph.node[-1].CopyFrom(helper.make_node("If", ["yes"], ["y"], **graphs))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
    with pipeline(model=write_probe(tmp_path, model)) as classifier:
        assert best(classifier).score == pytest.approx(PROBABILITIES[0], abs=1e-5)


@each_engine
def test_every_engine_and_the_steps_by_themselves_agree(engine: str, tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "p = Softmax(l) y = Mul(p, one)", weights=ONE)
    with pipeline(model=folder, engine=engine) as classifier:
        assert best(classifier).score == pytest.approx(PROBABILITIES[0], abs=1e-4)
        logits = classifier.forward(classifier.preprocess(RED))
        assert classifier.postprocess(logits[0])["score"] == pytest.approx(PROBABILITIES[0], abs=1e-4)
        with pytest.raises(OptionError, match="second activation"):
            classifier(RED, function_to_apply="sigmoid")


AMBIGUOUS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoids times a number": ("p = Sigmoid(l) y = Mul(p, one)", {"weights": ONE}),
    "sigmoids in a function": (
        "y = own.Head(l)",
        {"functions": '<domain: "own", opset_import: ["" : 17]> Head (x) => (z) {z = Sigmoid(x)}'},
    ),
    "softmax over the images of a batch": ("y = Softmax<axis=0>(l)", {}),
    "a constant": ("d = Sub(l, l) y = Exp(d)", {}),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_not_certain_is_an_error_until_somebody_says_it(name: str, tmp_path: Path) -> None:
    nodes, more = AMBIGUOUS[name]
    folder = make_probe(tmp_path, nodes, **more)
    with pytest.raises(InvalidModel, match=r'model\.onnx.*output="logits" or output="probabilities"'):
        pipeline(model=folder)
    with pipeline(model=folder, output="probabilities", top_k=None) as classifier:
        raw = sorted(classifier.forward(classifier.preprocess(RED))[0].tolist(), reverse=True)
        assert [entry["score"] for entry in classifier(RED)] == raw
        assert classifier.card.outputs_why == "output= says so"


def test_percentages_are_not_taken_for_logits(tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "p = Softmax(l) y = Mul(p, c)", weights={"c": number(100)})
    with pytest.raises(InvalidModel, match="sum to 100 each"):
        pipeline(model=folder)


def test_a_regression_needs_no_test_images(tmp_path: Path) -> None:
    folder = make_probe(
        tmp_path, "p = Sigmoid(l) y = Mul(p, one)", weights=ONE, config={"problem_type": "regression"}
    )
    with pipeline(model=folder, top_k=None) as classifier:
        assert sorted(entry["score"] for entry in classifier(RED)) == pytest.approx(
            sorted(SIGMOIDS), abs=1e-5
        )


def test_the_test_images_run_before_the_first_answer_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictag.pipelines import outputs

    asked: list[int] = []

    def make_and_count() -> Any:
        asked.append(1)
        return make_images()

    monkeypatch.setattr(outputs, "make_images", make_and_count)
    folder = make_probe(tmp_path, "p = Softmax(l) y = Mul(p, one)", weights=ONE)
    with pipeline(model=folder, threads=2) as classifier:
        assert len(asked) == 1
        assert classifier.model.outputs == "probabilities"
        list(classifier.stream(iter([RED] * 3)))  # a session of its own
    assert len(asked) == 1
    pipeline(model=make_probe(tmp_path / "certain", "y = Softmax(l)")).close()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("rows", "outputs"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], "probabilities"),
        ([[0.9, 0.102], [0.2, 0.805]], "probabilities"),  # rounded to 8 bits
        ([[0.9, -0.1], [0.2, 0.8]], "logits"),
        ([[9, 1], [2, 0.5]], "logits"),
        ([[-np.inf, 0], [-np.inf, 0]], "logits"),
        ([[np.nan, 0], [3, 4]], "logits"),
    ],
)
def test_scores_show_what_they_are(rows: list[list[float]], outputs: str) -> None:
    assert judge_scores(np.array(rows, np.float32))[0] == outputs


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.9, 0.1], [0.9, 0.1]], "all are from 0 to 1"),
        ([[1, 0], [1, 0]], "all are from 0 to 1"),
        ([[0.9], [0.3]], "all are from 0 to 1"),
        ([[90, 10], [20, 80]], "sum to 100 each"),
        ([[np.nan, 0], [np.nan, 1]], "returned NaN"),
    ],
)
def test_scores_that_do_not_show_what_they_are_are_an_error(rows: list[list[float]], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        judge_scores(np.array(rows, np.float32))


@each_engine
@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ("y = Unsqueeze(l, one)", "float[n,1,3] y"),
        ("y = Unsqueeze(l, two)", "float[n,3,1] y"),
        ("a = Unsqueeze(l, one) y = Unsqueeze(a, one)", "float[n,1,1,3] y"),
        ("a = Unsqueeze(l, two) y = Unsqueeze(a, three)", "float[n,3,1,1] y"),
        ("y = Unsqueeze(l, two)", "float[n,c,h] y"),
        ("y = Unsqueeze(l, two)", "float[] y"),
    ],
)
def test_scores_with_dimensions_of_one_are_read_in_batches(
    engine: str, nodes: str, outputs: str, tmp_path: Path
) -> None:
    weights = {name: np.array([axis]) for axis, name in enumerate(("zero", "one", "two", "three"))}
    model = make_model(nodes, outputs.replace("[]", "[n]"), weights=weights)
    if "[]" in outputs:  # nothing is said about the shape
        model.graph.output[0].type.tensor_type.ClearField("shape")
    with pipeline(model=write_probe(tmp_path, model), engine=engine, batch_size=2) as classifier:
        assert [found.labels[0].label for found in classifier.predict([RED] * 3)] == ["red"] * 3
        assert best(classifier).score == pytest.approx(PROBABILITIES[0], abs=1e-4)


@each_engine
@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ("y = Squeeze(l, zero)", "float[3] y"),
        ("a = Unsqueeze(l, one) y = Unsqueeze(a, one)", "float[1,1,1,3] y"),
    ],
)
def test_scores_of_a_batch_of_one_are_read_without_it(
    engine: str, nodes: str, outputs: str, tmp_path: Path
) -> None:
    weights = {"zero": np.array([0]), "one": np.array([1])}
    folder = make_probe(tmp_path, nodes, outputs, weights=weights, batch="1")
    with pipeline(model=folder, engine=engine) as classifier:
        assert classifier([RED, RED], top_k=3)[1][0]["score"] == pytest.approx(PROBABILITIES[0], abs=1e-4)


@pytest.mark.parametrize("outputs", ["float[n] y", "float[n,1,1] y"])
def test_one_score_for_each_image_needs_no_dimension_of_labels(outputs: str, tmp_path: Path) -> None:
    nodes = "a = ReduceMax<axes=[1], keepdims=0>(l) y = Identity(a)"
    if "1" in outputs:
        nodes = "a = ReduceMax<axes=[1], keepdims=1>(l) y = Unsqueeze(a, one)"
    folder = make_probe(tmp_path, nodes, outputs, weights={"one": np.array([1])}, labels=("red",))
    with pipeline(model=folder, batch_size=3) as classifier:
        scores = [found.labels[0].score for found in classifier.predict([RED] * 3)]
        assert scores == pytest.approx([SIGMOIDS[0]] * 3)


INDICES = "p = Softmax(l) values, order = TopK(p, k)"
SEVERAL: dict[str, tuple[str, str]] = {
    "an embedding": (
        "e = MatMul(l, five) y = Softmax(l) embedding = Identity(e)",
        "float[n,5] embedding, float[n,3] y",
    ),
    "an embedding of unknown width": (
        "e = MatMul(l, five) probs = Softmax(l) embedding = Identity(e)",
        "float[n,d] embedding, float[n,3] probs",
    ),
    "indices": (f"{INDICES} y = Identity(p)", "int64[n,3] order, float[n,3] y"),
    "the best label": ("y = Softmax(l) best = ArgMax<axis=1>(y)", "int64[n,1] best, float[n,3] y"),
    "a feature map": ("y = Softmax(l) map = Relu(pixel_values)", "float[n,3,8,8] map, float[n,3] y"),
    "a hidden state": (
        "y = Softmax(l) e = MatMul(l, five) hidden = Unsqueeze(e, one)",
        "float[n,1,5] hidden, float[n,3] y",
    ),
}


@each_engine
@pytest.mark.parametrize("name", SEVERAL)
def test_the_scores_are_found_among_other_outputs(name: str, engine: str, tmp_path: Path) -> None:
    nodes, outputs = SEVERAL[name]
    weights = {"five": np.ones((3, 5), np.float32), "k": np.array([3]), "one": np.array([1])}
    folder = make_probe(tmp_path, nodes, outputs, weights=weights)
    with pipeline(model=folder, engine=engine) as classifier:
        assert best(classifier).label == "red"
        assert best(classifier).score == pytest.approx(PROBABILITIES[0], abs=1e-4)
        assert classifier.card.output_name in ("y", "probs")


@each_engine
def test_the_output_of_the_other_head_can_be_named(engine: str, tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "a = Identity(l) b = Neg(l)", "float[n,3] a, float[n,3] b")
    with pytest.raises(
        InvalidModel, match=r"a float32 \[\?, 3\], b float32 \[\?, 3\]\. Name .* output_name="
    ):
        pipeline(model=folder, engine=engine)
    found = {}
    for name in "ab":
        with pipeline(model=folder, engine=engine, output_name=name) as classifier:
            found[name] = best(classifier).label
    assert found == {"a": "red", "b": "green"}


def test_the_embedding_is_that_of_the_chosen_output(tmp_path: Path) -> None:
    nodes = "e = Relu(l) a = MatMul(e, w) f = Neg(l) b = MatMul(f, w)"
    folder = make_probe(tmp_path, nodes, "float[n,3] a, float[n,3] b")
    for name, embedding in (("a", LOGITS), ("b", -LOGITS)):
        with pipeline(model=folder, output_name=name, embeddings=True) as classifier:
            np.testing.assert_allclose(classifier.embed(RED)[0], embedding, atol=1e-5)


def test_a_shape_that_only_the_engine_knows_is_checked(tmp_path: Path) -> None:
    folder = make_probe(
        tmp_path, "y = MatMul(l, five)", "float[n,d] y", weights={"five": np.ones((3, 5), np.float32)}
    )
    with pytest.raises(InvalidModel, match=r"output y has the shape \[\?, 5\], but the model's files name 3"):
        pipeline(model=folder)

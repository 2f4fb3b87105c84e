"""A method that fails on a graph is skipped; only if all fail, the search fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.tinygraphs import make_samples
from pictag.engines.quantize_graph import has_attention, read_float_graph
from pictag.errors import EngineError, InvalidModel
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from pictag.quantization.calibration import Samples
from pictag.quantization.search import Candidate, Search
from tinymodel import make_graph, make_tiny_model


@pytest.fixture
def search(tmp_path: Path) -> Search:
    model = load_model(parse_reference(make_tiny_model(tmp_path / "colours")))
    paths = [tmp_path / f"{number}.npy" for number in range(4)]
    for path, sample in zip(paths, make_samples(4), strict=True):
        np.save(path, sample)
    graph = read_float_graph(model.weights)
    return Search(
        model=model,
        graph=graph,
        attention=has_attention(graph),
        target="vnni",
        calibration=Samples(paths),
        check=Samples(paths),
        threshold=0.97,
        folder=tmp_path,
        on_progress=lambda _: None,
    )


def fail() -> Candidate:
    raise EngineError("not this graph")


def test_the_search_continues_with_the_next_method(search: Search, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    onnx.save(make_graph(), tmp_path / "good.onnx")
    broken, good = (Candidate(file=tmp_path / f"{n}.onnx", method=n) for n in ("broken", "good"))
    original = search.score_original(search.check)
    found = search.choose("onnxruntime", [fail, lambda: broken, lambda: good], original)
    assert found.candidate == good
    assert found.agreement.top1 == 1.0
    with pytest.raises(InvalidModel, match=r"broken\.onnx"):
        search.choose("onnxruntime", [fail, lambda: broken], original)

"""The OpenVINO engine: it agrees with ONNX Runtime, and raises pictag's errors."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from engines.tinygraphs import LARGE_PRODUCTS
from engines.tinygraphs import make_graph as make_quantizable_graph
from pictag import pipeline
from pictag.engines import onnxruntime
from pictag.errors import EngineError, InvalidModel, OptionError
from pictag.options import EngineOptions
from tinymodel import COLOURS, make_graph, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from pictag.engines.base import Engine

pytest.importorskip("openvino", reason="needs pip install 'pictag[openvino]'")
from pictag.engines import openvino


@pytest.fixture
def pixels() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)


def run_in_threads(engine: Engine, *, threads: int) -> None:
    batches = [np.full((1 + n % 3, 3, 8, 8), n, np.float32) for n in range(300)]
    with ThreadPoolExecutor(threads) as pool:
        for batch, (scores,) in zip(batches, pool.map(engine.run, batches), strict=True):
            np.testing.assert_allclose(scores, 2 * batch.mean(axis=(2, 3)), atol=1e-4)


@pytest.mark.parametrize("batch", [None, 1, 2, 5, 7])
def test_scores_are_those_of_onnx_runtime(
    tmp_path: Path, pixels: NDArray[np.float32], batch: int | None
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(make_graph(batch=batch), path)
    options = EngineOptions(threads=1)
    ours, theirs = openvino.open_session(path, options), onnxruntime.open_session(path, options)
    assert ours.inputs == theirs.inputs
    assert ours.outputs == theirs.outputs
    scores = ours.run(pixels)[0]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, theirs.run(pixels)[0], atol=1e-6)


@pytest.mark.parametrize("engine", [onnxruntime, openvino])
def test_large_8_bit_products_are_exact_on_every_processor(tmp_path: Path, engine: ModuleType) -> None:
    # Without VNNI, ONNX Runtime's default gives 97 instead of 192, and OpenVINO's 129.
    onnx.save(make_quantizable_graph(LARGE_PRODUCTS), tmp_path / "m.onnx")
    session = engine.open_session(tmp_path / "m.onnx", EngineOptions())
    (scores,) = session.run(np.ones((2, 3, 8, 8), np.float32))
    np.testing.assert_array_equal(scores, np.full((2, 3), 192))


def test_concurrent_runs_get_their_own_scores(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = openvino.open_session(tmp_path / "m.onnx", EngineOptions(threads=2))
    run_in_threads(engine, threads=4)


def test_a_small_graph_runs_in_the_calling_threads(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = openvino.open_session(tmp_path / "m.onnx", EngineOptions(threads=3, mode="throughput"))
    assert isinstance(engine, openvino.OpenVinoEngine)
    run_in_threads(engine, threads=8)
    requests = [engine._idle.get_nowait() for _ in range(engine._idle.qsize())]
    assert 1 <= len(requests) <= 3  # at most `threads`, even with more callers
    streams = {request.get_compiled_model().get_property("NUM_STREAMS") for request in requests}
    assert streams == {1}  # such a graph runs in the caller's thread


def test_a_large_graph_is_compiled_once_for_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "_SMALL_BYTES", 0)
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = openvino.open_session(tmp_path / "m.onnx", EngineOptions(threads=2, mode="throughput"))
    assert isinstance(engine, openvino.OpenVinoEngine)
    assert engine._compiled.get_property("NUM_STREAMS") == 2
    run_in_threads(engine, threads=4)


def test_a_waiting_run_finishes_after_close(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = openvino.open_session(tmp_path / "m.onnx", EngineOptions(threads=1, mode="throughput"))
    assert isinstance(engine, openvino.OpenVinoEngine)
    idle = engine._idle
    request = idle.get_nowait()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.run, np.ones((1, 3, 8, 8), np.float32))
        time.sleep(0.05)
        engine.close()
        idle.put(request)
        assert waiting.result(10)[0].shape == (1, 3)


def test_the_compiled_graph_is_kept_for_the_next_start(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    cache = tmp_path / "cache"
    first = openvino.open_session(tmp_path / "m.onnx", EngineOptions(compiled_cache=cache))
    assert list(cache.iterdir())
    again = openvino.open_session(tmp_path / "m.onnx", EngineOptions(compiled_cache=cache))
    assert again.outputs == first.outputs
    np.testing.assert_array_equal(again.run(pixels)[0], first.run(pixels)[0])


def test_an_invalid_file_is_rejected_without_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    for content in (b"", b"not a graph", b"\x08\x09" * 50):
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=r"broken\.onnx|no output"):
            openvino.open_session(path, EngineOptions())
    assert capfd.readouterr() == ("", "")


def test_a_failed_run_is_an_engine_error_and_the_next_one_works(
    tmp_path: Path, pixels: NDArray[np.float32]
) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = openvino.open_session(tmp_path / "m.onnx", EngineOptions())
    with pytest.raises(EngineError, match=r"\[1, 3, 9, 9\]"):
        engine.run(np.zeros((1, 3, 9, 9), np.float32))
    assert engine.run(pixels)[0].shape == (5, 3)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(pixels)


def test_an_unavailable_device_is_an_option_error(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "m.onnx")
    with pytest.raises(OptionError, match="'tpu'"):
        openvino.open_session(tmp_path / "m.onnx", EngineOptions(device="tpu"))


def test_a_pipeline_uses_it_on_request(tmp_path: Path) -> None:
    image = np.full((6, 5, 3), COLOURS["green"], np.uint8)
    with pipeline(model=make_tiny_model(tmp_path), engine="openvino") as classifier:
        assert "openvino" in classifier.engine.name
        assert classifier(image, top_k=1)["label"] == "green"


def test_without_the_package_the_error_says_how_to_install_it() -> None:
    code = (
        "import sys\nsys.modules['openvino'] = None\nfrom pictag import pipeline\n"
        "try:\n    pipeline(model='embedded', engine='openvino')\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("MissingExtra")
    assert "pip install 'pictag[openvino]'" in done.stdout


@pytest.mark.shared
@pytest.mark.parametrize(("model", "dtype"), [("mobilenet_v2", "fp32"), ("mobilenet_v1_0.25_128", "fp32")])
def test_real_models_agree_with_onnx_runtime(shared: Path, model: str, dtype: str) -> None:
    photographs = sorted((shared / "images" / "gallery").glob("*.jpg"))[:12]
    found = []
    for engine in ("onnxruntime", "openvino"):
        with pipeline(model=shared / "models" / model, dtype=dtype, engine=engine) as classifier:
            found.append(classifier.forward(classifier.preprocess(photographs)))
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    assert (found[0].argmax(axis=1) == found[1].argmax(axis=1)).all()

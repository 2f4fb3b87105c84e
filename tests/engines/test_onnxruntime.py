"""ONNX Runtime behind the protocol: fixed batches, float16, layouts, devices, and errors of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime import get_available_providers

from pictag.engines import onnxruntime
from pictag.engines.onnxruntime import NATIVE_ERRORS, check_installed, open_session
from pictag.errors import EngineError, InvalidModel, MissingExtra, OptionError
from tinymodel import make_graph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def pixels() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def expected(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(2 * pixels.mean(axis=(2, 3)), np.float32)


def test_a_graph_runs_and_describes_itself(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), threads=1)
    np.testing.assert_allclose(engine.run(pixels), expected(pixels), atol=1e-6)
    assert engine.inputs[0].shape == (None, 3, 8, 8)
    assert engine.outputs[0].shape == (None, 3)
    assert engine.name == "onnxruntime (cpu)"


@pytest.mark.parametrize("batch", [1, 2, 5, 7])
def test_a_fixed_batch_is_filled_up_and_cut(tmp_path: Path, pixels: NDArray[np.float32], batch: int) -> None:
    engine = open_session(save(make_graph(batch=batch), tmp_path / "m.onnx"))
    scores = engine.run(pixels)
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores, expected(pixels), atol=1e-6)


def test_float16_in_and_out(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Add", ["pooled", "pooled"], ["y"]),
        ],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [None, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [None, 3, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    scores = open_session(save(model, tmp_path / "m.onnx")).run(pixels)
    assert scores.dtype == np.float32
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores, expected(pixels), atol=2e-3)


def test_a_graph_that_takes_channels_last_gets_them_last(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)],
        "last",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 8, 8, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    scores = open_session(save(model, tmp_path / "m.onnx"), layout="NHWC").run(pixels)
    np.testing.assert_allclose(scores, pixels.mean(axis=(2, 3)), atol=1e-6)


def test_a_file_that_is_no_graph_is_refused_by_name_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    for content in (b"", b"not a graph", onnx.ModelProto().SerializeToString() + b"\x08\x09"):
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=r"broken\.onnx"):
            open_session(path)
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_is_an_engine_error_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"))
    with pytest.raises(EngineError, match=r"\[1, 3, 9, 9\]"):
        engine.run(np.zeros((1, 3, 9, 9), np.float32))
    assert capfd.readouterr() == ("", "")


def test_a_closed_engine_says_so(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(pixels)


def test_a_graph_of_floats_that_numpy_has_not_opens_so_that_it_can_be_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "brain",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, [None, 3, 1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, [None, 3, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    engine = open_session(save(model, tmp_path / "m.onnx"))
    assert engine.inputs[0].dtype == "tensor(bfloat16)"


@pytest.mark.parametrize("labels", [10, 8])
def test_a_graph_that_forgets_its_batch_is_an_engine_error(tmp_path: Path, labels: int) -> None:
    # As an export with the batch of the example burnt in: [N, 3, 8, 8] in, always [1, labels] out.
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("ConstantOfShape", ["size"], ["y"]),
        ],
        "forgetful",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, labels])],
        [helper.make_tensor("size", TensorProto.INT64, [2], [1, labels])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    engine = open_session(save(model, tmp_path / "m.onnx"))
    assert engine.run(np.zeros((1, 3, 8, 8), np.float32)).shape == (1, labels)
    with pytest.raises(EngineError, match="for 8 images"):
        engine.run(np.zeros((8, 3, 8, 8), np.float32))


def test_a_run_is_finished_when_the_engine_is_closed_meanwhile(
    tmp_path: Path, pixels: NDArray[np.float32]
) -> None:
    for _ in range(20):
        engine = open_session(save(make_graph(batch=1), tmp_path / "m.onnx"), threads=1)
        closing = threading.Thread(target=engine.close)
        failed: list[str] = []
        try:
            closing.start()
            engine.run(pixels)
        except EngineError as error:
            failed.append(str(error))
        closing.join()
        assert failed in ([], ["The engine was closed."])


def test_each_of_several_threads_gets_the_scores_of_its_own_input(tmp_path: Path) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), mode="throughput")

    def run(number: int) -> NDArray[np.float32]:
        return engine.run(np.full((1 + number % 3, 3, 8, 8), number, np.float32))

    with ThreadPoolExecutor(8) as pool:
        for number, scores in enumerate(pool.map(run, range(400))):
            assert scores.shape == (1 + number % 3, 3)
            np.testing.assert_allclose(scores, 2 * number, rtol=1e-6)


def test_scores_stay_as_they_are_when_the_engine_goes_on_and_closes(tmp_path: Path) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"))
    kept = [engine.run(np.full((4, 3, 8, 8), number, np.float32)) for number in range(50)]
    engine.close()
    for number, scores in enumerate(kept):
        np.testing.assert_allclose(scores, 2 * number, rtol=1e-6)


def test_a_slice_and_a_view_of_pixel_values_are_read_as_they_look(
    tmp_path: Path, pixels: NDArray[np.float32]
) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"))
    np.testing.assert_allclose(engine.run(pixels[::2]), expected(pixels[::2]), atol=1e-6)
    np.testing.assert_allclose(engine.run(pixels[:, ::-1]), expected(pixels)[:, ::-1], atol=1e-6)


def test_one_run_takes_all_threads_and_one_of_many_takes_one(tmp_path: Path) -> None:
    path = save(make_graph(), tmp_path / "m.onnx")
    for mode, threads in (("latency", 3), ("throughput", 1)):
        engine = open_session(path, threads=3, mode=mode)  # type: ignore[arg-type]
        assert isinstance(engine, onnxruntime.OnnxRuntimeEngine)
        assert engine._session.get_session_options().intra_op_num_threads == threads


def test_a_device_of_no_meaning_is_an_option_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'tpu'"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), device="tpu")


HAS_CUDA = "CUDAExecutionProvider" in get_available_providers()
without_cuda = pytest.mark.skipif(HAS_CUDA, reason="shows what an ONNX Runtime without CUDA does")
with_cuda = pytest.mark.skipif(not HAS_CUDA, reason="needs onnxruntime-gpu")


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_runtime_without_cuda_is_a_missing_extra(tmp_path: Path, device: str) -> None:
    with pytest.raises(MissingExtra, match=r"pictag\[gpu\]"):
        open_session(tmp_path / "never read.onnx", device=device)
    with pytest.raises(MissingExtra, match=r"pictag\[gpu\]"):
        check_installed(device)
    check_installed("cpu")


@without_cuda
@pytest.mark.parametrize(("device", "advice"), [("cuda:1", "nvidia-smi"), ("tensorrt", "tensorrt-cu13")])
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_would_run_on_the_cpu_in_silence_is_an_engine_error(
    tmp_path: Path,
    device: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Without the question whether it could, ONNX Runtime opens the session all the same: on the CPU.
    monkeypatch.setattr(onnxruntime, "check_installed", lambda device: None)
    with pytest.raises(EngineError, match=f"{device}.*{advice}"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), device=device)
    assert capfd.readouterr() == ("", "")


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_broken_graph_is_no_fault_of_the_card(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "check_installed", lambda device: None)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(InvalidModel, match=r"broken\.onnx"):
        open_session(path, device=device)


@with_cuda
@pytest.mark.parametrize("device", ["cuda:999", "tensorrt:999"])
def test_a_card_that_is_not_there_is_an_engine_error_in_silence(
    tmp_path: Path, device: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match=f"{device}.*nvidia-smi"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), device=device)
    assert capfd.readouterr() == ("", "")


@with_cuda
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize("size", [8, None])
def test_a_card_gives_the_scores_of_the_cpu(tmp_path: Path, device: str, size: int | None) -> None:
    path = save(make_graph(size=size), tmp_path / "m.onnx")
    try:
        card = open_session(path, device=device, compiled_cache=tmp_path)
    except EngineError as error:
        pytest.skip(str(error))
    cpu = open_session(path)
    for count in (1, 5, 64, 65):
        many = np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(card.run(many), cpu.run(many), atol=2e-3)


def test_every_failure_that_the_runtime_can_raise_is_mapped() -> None:
    names = {error.__name__ for error in NATIVE_ERRORS}
    assert {
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "RuntimeException",
    } <= names


@pytest.mark.parametrize("module", ["pictag.engines.onnxruntime", "pictag.engines.quantize_static"])
def test_the_runtime_does_not_report_its_use(tmp_path: Path, module: str) -> None:
    """It would keep an identifier and a queue of reports in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environ |= {"HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    code = f"import {module}, onnxruntime, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1"
    assert list(home.rglob("*")) == []

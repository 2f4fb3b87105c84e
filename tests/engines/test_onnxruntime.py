"""The ONNX Runtime engine: fixed batches, float16, layouts, devices and errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.parser
import pytest
from onnxruntime import get_available_providers

from pictag.engines import onnxruntime
from pictag.engines.onnxruntime import check_installed, open_session
from pictag.errors import EngineError, InvalidModel, MissingExtra, OptionError
from pictag.options import EngineOptions
from tinymodel import make_graph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.options import Mode


@pytest.fixture
def pixels() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def parse(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> graph {graph}')


def expected(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(2 * pixels.mean(axis=(2, 3)), np.float32)


def test_a_graph_runs_and_describes_itself(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions(threads=1))
    np.testing.assert_allclose(engine.run(pixels)[0], expected(pixels), atol=1e-6)
    assert engine.inputs[0].shape == (None, 3, 8, 8)
    assert engine.outputs[0].shape == (None, 3)
    assert engine.name == "onnxruntime (cpu)"


@pytest.mark.parametrize("batch", [1, 2, 5, 7])
def test_a_fixed_batch_is_padded_and_trimmed(tmp_path: Path, pixels: NDArray[np.float32], batch: int) -> None:
    engine = open_session(save(make_graph(batch=batch), tmp_path / "m.onnx"), EngineOptions())
    scores = engine.run(pixels)[0]
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores, expected(pixels), atol=1e-6)


def test_float16_in_and_out(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    model = parse("(float16[n,3,8,8] x) => (float16[n,3,1,1] y) {p = GlobalAveragePool(x) y = Add(p, p)}")
    scores = open_session(save(model, tmp_path / "m.onnx"), EngineOptions()).run(pixels)[0]
    assert scores.dtype == np.float32
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores, expected(pixels), atol=2e-3)


def test_a_graph_with_channels_last_gets_them_last(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    model = parse("(float[n,8,8,3] x) => (float[n,3] y) {y = ReduceMean<axes=[1,2], keepdims=0>(x)}")
    scores = open_session(save(model, tmp_path / "m.onnx"), EngineOptions(layout="NHWC")).run(pixels)[0]
    np.testing.assert_allclose(scores, pixels.mean(axis=(2, 3)), atol=1e-6)


def test_an_invalid_file_is_rejected_by_name_without_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    for content in (b"", b"not a graph", onnx.ModelProto().SerializeToString() + b"\x08\x09"):
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=r"broken\.onnx"):
            open_session(path, EngineOptions())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (b"\x08\x63", "Unsupported model IR version: 99, max supported IR version: 1"),  # field 1: ir_version
        (b"\x42\x03\x10\xff\x01", "Current official support for domain ai.onnx is till opset 2"),  # opset 255
    ],
)
def test_the_reason_for_rejecting_a_graph_is_not_cut_off(tmp_path: Path, changed: bytes, reason: str) -> None:
    path = (
        tmp_path / ("deep/" * 40) / "m.onnx"
    )  # the message begins with the path and a location in the source
    path.parent.mkdir(parents=True)
    path.write_bytes(make_graph().SerializeToString() + changed)
    with pytest.raises(InvalidModel) as caught:
        open_session(path, EngineOptions())
    assert reason in str(caught.value)
    assert str(caught.value).endswith("Upgrade onnxruntime, or export the model with an older opset.")
    assert ".cc:" not in str(caught.value)


def test_the_reason_for_a_failed_run_is_not_cut_off(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    model = parse("(float[n,3,8,8] x) => (float[a,b] y) <int64[2] size = {-1, 7}> {y = Reshape(x, size)}")
    engine = open_session(save(model, tmp_path / "m.onnx"), EngineOptions())
    with pytest.raises(
        EngineError, match=r"on an input of shape .*Input shape:{5,3,8,8}, requested shape:{-1,7}\.$"
    ):
        engine.run(pixels)


def test_a_failed_run_is_an_engine_error_without_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions())
    with pytest.raises(EngineError, match=r"\[1, 3, 9, 9\]"):
        engine.run(np.zeros((1, 3, 9, 9), np.float32))
    assert capfd.readouterr() == ("", "")


def test_a_closed_engine_says_so(tmp_path: Path, pixels: NDArray[np.float32]) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(pixels)


def test_a_bfloat16_graph_opens_so_that_check_graph_can_reject_it(tmp_path: Path) -> None:
    model = parse("(bfloat16[n,3,1,1] x) => (bfloat16[n,3,1,1] y) {y = Identity(x)}")
    engine = open_session(save(model, tmp_path / "m.onnx"), EngineOptions())
    assert engine.inputs[0].dtype == "tensor(bfloat16)"


@pytest.mark.parametrize("labels", [10, 8])
def test_a_graph_that_ignores_its_batch_size_is_an_engine_error(tmp_path: Path, labels: int) -> None:
    # Like an export with the example's batch size built in: [N, 3, 8, 8] in, always [1, labels] out.
    model = parse(
        f"(float[n,3,8,8] x) => (float[n,{labels}] y) <int64[2] size = {{1, {labels}}}> "
        "{s = Shape(x) y = ConstantOfShape(size)}"
    )
    engine = open_session(save(model, tmp_path / "m.onnx"), EngineOptions())
    assert engine.run(np.zeros((1, 3, 8, 8), np.float32))[0].shape == (1, labels)
    with pytest.raises(EngineError, match="for 8 images"):
        engine.run(np.zeros((8, 3, 8, 8), np.float32))


def test_a_run_finishes_if_the_engine_is_closed_meanwhile(
    tmp_path: Path, pixels: NDArray[np.float32]
) -> None:
    for _ in range(20):
        engine = open_session(save(make_graph(batch=1), tmp_path / "m.onnx"), EngineOptions(threads=1))
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
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions(mode="throughput"))

    def run(number: int) -> NDArray[np.float32]:
        return engine.run(np.full((1 + number % 3, 3, 8, 8), number, np.float32))[0]

    with ThreadPoolExecutor(8) as pool:
        for number, scores in enumerate(pool.map(run, range(400))):
            assert scores.shape == (1 + number % 3, 3)
            np.testing.assert_allclose(scores, 2 * number, rtol=1e-6)


def test_scores_stay_valid_after_later_runs_and_close(tmp_path: Path) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions())
    kept = [engine.run(np.full((4, 3, 8, 8), number, np.float32))[0] for number in range(50)]
    engine.close()
    for number, scores in enumerate(kept):
        np.testing.assert_allclose(scores, 2 * number, rtol=1e-6)


def test_slices_and_views_of_pixel_values_are_read_correctly(
    tmp_path: Path, pixels: NDArray[np.float32]
) -> None:
    engine = open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions())
    np.testing.assert_allclose(engine.run(pixels[::2])[0], expected(pixels[::2]), atol=1e-6)
    np.testing.assert_allclose(engine.run(pixels[:, ::-1])[0], expected(pixels)[:, ::-1], atol=1e-6)


def test_latency_mode_uses_all_threads_and_throughput_mode_one_per_run(tmp_path: Path) -> None:
    path = save(make_graph(), tmp_path / "m.onnx")
    threads_of: dict[Mode, int] = {"latency": 3, "throughput": 1}
    for mode, threads in threads_of.items():
        engine = open_session(path, EngineOptions(threads=3, mode=mode))
        assert isinstance(engine, onnxruntime.OnnxRuntimeEngine)
        assert engine._session.get_session_options().intra_op_num_threads == threads


def test_8_bit_constants_that_layers_share_run_on_every_processor(tmp_path: Path) -> None:
    # Without VNNI, ONNX Runtime 1.32 can't open this graph with exact 8-bit kernels.
    model = parse(
        "(float[n,3,8,8] x) => (float[n,3,1,1] y) <float s = {0.5}, int8 z = {0}, int8[1] two = {4}> {"
        "xq = QuantizeLinear(x, s, z) d = DequantizeLinear(xq, s, z) c = DequantizeLinear(two, s, z) "
        "a = Mul(d, c) aq = QuantizeLinear(a, s, z) e = DequantizeLinear(aq, s, z) "
        "b = Mul(e, c) bq = QuantizeLinear(b, s, z) f = DequantizeLinear(bq, s, z) y = GlobalAveragePool(f) }"
    )
    engine = open_session(save(model, tmp_path / "m.onnx"), EngineOptions())
    (scores,) = engine.run(np.full((2, 3, 8, 8), 1.5, np.float32))
    np.testing.assert_allclose(scores, np.full((2, 3), 6.0))


def test_an_unknown_device_is_an_option_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'tpu'"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions(device="tpu"))


HAS_CUDA = "CUDAExecutionProvider" in get_available_providers()
without_cuda = pytest.mark.skipif(HAS_CUDA, reason="tests an ONNX Runtime without CUDA")
with_cuda = pytest.mark.skipif(not HAS_CUDA, reason="needs onnxruntime-gpu")


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_runtime_without_cuda_is_a_missing_extra(tmp_path: Path, device: str) -> None:
    with pytest.raises(MissingExtra, match=r"pictag\[gpu\]"):
        open_session(tmp_path / "never read.onnx", EngineOptions(device=device))
    with pytest.raises(MissingExtra, match=r"pictag\[gpu\]"):
        check_installed(device)
    check_installed("cpu")


@without_cuda
@pytest.mark.parametrize(("device", "advice"), [("cuda:1", "nvidia-smi"), ("tensorrt", "tensorrt-cu13")])
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fallback_to_the_cpu_is_an_engine_error(
    tmp_path: Path,
    device: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Without this check, ONNX Runtime opens the session on the CPU.
    monkeypatch.setattr(onnxruntime, "check_installed", lambda device: None)
    with pytest.raises(EngineError, match=f"{device}.*{advice}"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions(device=device))
    assert capfd.readouterr() == ("", "")


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_broken_graph_is_not_reported_as_a_gpu_error(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "check_installed", lambda device: None)
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(InvalidModel, match=r"broken\.onnx"):
        open_session(path, EngineOptions(device=device))


@with_cuda
@pytest.mark.parametrize("device", ["cuda:999", "tensorrt:999"])
def test_a_missing_gpu_is_an_engine_error_without_output(
    tmp_path: Path, device: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match=f"{device}.*nvidia-smi"):
        open_session(save(make_graph(), tmp_path / "m.onnx"), EngineOptions(device=device))
    assert capfd.readouterr() == ("", "")


@with_cuda
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize("size", [8, None])
def test_a_gpu_gives_the_scores_of_the_cpu(tmp_path: Path, device: str, size: int | None) -> None:
    path = save(make_graph(size=size), tmp_path / "m.onnx")
    try:
        gpu = open_session(path, EngineOptions(device=device, compiled_cache=tmp_path))
    except EngineError as error:
        pytest.skip(str(error))
    cpu = open_session(path, EngineOptions())
    for count in (1, 5, 64, 65):
        many = np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(gpu.run(many)[0], cpu.run(many)[0], atol=2e-3)


@pytest.mark.parametrize("module", ["pictag.engines.onnxruntime", "pictag.engines.quantize_static"])
def test_the_runtime_sends_no_telemetry(tmp_path: Path, module: str) -> None:
    """It would store an identifier and a queue of reports in the home folder."""
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

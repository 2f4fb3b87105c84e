"""The choice of ONNX Runtime's providers, tested without the hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictag.engines.base import TensorInfo
from pictag.engines.providers import (
    CPU,
    CUDA,
    LARGEST_BATCH,
    TENSORRT,
    Device,
    check_device,
    check_providers,
    choose_chunk_size,
    choose_providers,
    name_device,
    parse_device,
)
from pictag.errors import MissingExtra, OptionError

CARD = Device(kind="cuda")
TRT = Device(kind="tensorrt", index=2)
EVERYTHING = (TENSORRT, CUDA, CPU)


def tensor(*shape: int | None, dtype: str = "float16") -> TensorInfo:
    return TensorInfo(name="pixel_values", shape=shape, dtype=dtype)


@pytest.mark.parametrize(
    ("text", "device", "name"),
    [
        ("cpu", Device(kind="cpu"), "cpu"),
        ("cuda", Device(kind="cuda"), "cuda:0"),
        ("cuda:0", Device(kind="cuda"), "cuda:0"),
        ("cuda:11", Device(kind="cuda", index=11), "cuda:11"),
        ("tensorrt", Device(kind="tensorrt"), "cuda:0, TensorRT"),
        ("tensorrt:1", Device(kind="tensorrt", index=1), "cuda:1, TensorRT"),
    ],
)
def test_a_device_is_read_and_named(text: str, device: Device, name: str) -> None:
    assert parse_device(text) == device
    assert name_device(device) == name


@pytest.mark.parametrize(
    "text",
    ["", "gpu", "tpu", "CUDA", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda: 1", "cuda\n", "cuda:1000",
     "cuda:²", None, 0, b"cuda"],
)  # fmt: skip
def test_an_unknown_device_is_rejected_with_the_alternatives(text: object) -> None:
    with pytest.raises(OptionError, match="Use cpu, cuda or tensorrt"):
        parse_device(text)  # type: ignore[arg-type]


def test_a_long_device_is_shortened() -> None:
    with pytest.raises(OptionError) as caught:
        check_device("cuda" * 1000)
    assert len(str(caught.value)) < 400


def test_gpus_need_onnx_runtime() -> None:
    for engine in ("auto", "onnxruntime", "openvino"):
        check_device("cpu", engine)
    for device in ("cuda", "cuda:1", "tensorrt"):
        check_device(device, "auto")
        check_device(device, "onnxruntime")
        with pytest.raises(OptionError, match=f"{device}.*openvino.*engine='onnxruntime'"):
            check_device(device, "openvino")


def test_supported_devices_are_accepted() -> None:
    check_providers(Device(kind="cpu"), available=[CPU], packages=["onnxruntime"])
    check_providers(CARD, available=EVERYTHING, packages=["onnxruntime-gpu"])
    check_providers(CARD, available=(CUDA, CPU), packages=[])
    check_providers(TRT, available=EVERYTHING, packages=["onnxruntime-gpu"])


@pytest.mark.parametrize("device", [CARD, TRT])
def test_a_runtime_without_the_device_says_what_to_install(device: Device) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'pictag\[gpu\]', then pip uninstall") as caught:
        check_providers(device, available=["AzureExecutionProvider", CPU], packages=["onnxruntime"])
    assert f"device='{device.kind}'" in str(caught.value)
    assert "the installed package (onnxruntime) doesn't have" in str(caught.value)
    assert "Without an NVIDIA GPU, use device='cpu'" in str(caught.value)


def test_two_packages_that_share_one_module_are_an_error_that_says_which_to_keep() -> None:
    with pytest.raises(MissingExtra, match="share one module") as caught:
        check_providers(CARD, available=[CPU], packages=["onnxruntime", "onnxruntime-gpu"])
    assert str(caught.value).endswith(
        "pip uninstall --yes onnxruntime, then pip install --force-reinstall --no-deps onnxruntime-gpu"
    )


def test_a_build_with_cuda_alone_has_no_tensorrt() -> None:
    with pytest.raises(MissingExtra, match="TensorrtExecutionProvider"):
        check_providers(TRT, available=(CUDA, CPU), packages=["onnxruntime-gpu"])


def test_the_cpu_is_the_only_provider_for_the_cpu() -> None:
    assert choose_providers(Device(kind="cpu"), tensor(None, 3, 8, 8)) == ((CPU, {}),)


def test_cuda_comes_before_the_cpu_and_does_not_benchmark_each_batch_size() -> None:
    (name, options), *rest = choose_providers(Device(kind="cuda", index=3), tensor(None, 3, 8, 8))
    assert name == CUDA
    assert options["device_id"] == "3"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["use_tf32"] == "0", "TF32 would change scores"
    assert rest == [(CPU, {})]


def test_tensorrt_comes_before_cuda_on_the_same_gpu() -> None:
    first, second, third = choose_providers(TRT, compiled_cache=Path("kept"))
    assert [first[0], second[0], third[0]] == [TENSORRT, CUDA, CPU]
    assert first[1]["device_id"] == second[1]["device_id"] == "2"
    assert first[1]["trt_engine_cache_enable"] == "1"
    assert first[1]["trt_engine_cache_path"] == first[1]["trt_timing_cache_path"] == "kept"


def test_tensorrt_caches_nothing_without_a_folder() -> None:
    assert not [key for key in choose_providers(TRT)[0][1] if "cache" in key]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_tensorrt_computes_in_the_types_of_the_graph(dtype: str) -> None:
    # A precision option would let TensorRT round values that are float32 in the graph.
    options = choose_providers(TRT, tensor(None, 3, 8, 8, dtype=dtype))[0][1]
    assert not [key for key in options if key.endswith(("fp16_enable", "int8_enable", "bf16_enable"))]


def test_tensorrt_gets_a_profile_of_batch_sizes() -> None:
    options = choose_providers(TRT, tensor(None, 3, 224, 256))[0][1]
    assert {key: value for key, value in options.items() if "profile" in key} == {
        "trt_profile_min_shapes": "pixel_values:1x3x224x256",
        "trt_profile_opt_shapes": "pixel_values:8x3x224x256",
        "trt_profile_max_shapes": "pixel_values:64x3x224x256",
    }


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (None, 3, None, None), (None, None, 8, 8), ()])
def test_tensorrt_gets_no_profile_if_the_batch_is_fixed_or_the_size_is_dynamic(
    shape: tuple[int | None, ...],
) -> None:
    options = choose_providers(TRT, tensor(*shape))[0][1]
    assert not [key for key in options if "profile" in key]


@pytest.mark.parametrize("device", [Device(kind="cpu"), CARD])
def test_batches_run_unchanged_or_in_the_fixed_size_of_the_graph(device: Device) -> None:
    for count in (1, 5, 1000):
        assert choose_chunk_size(device, (None, 3, None, None), count) is None
        assert choose_chunk_size(device, (4, 3, 8, 8), count) == 4


def test_tensorrt_without_a_profile_runs_few_batch_sizes() -> None:
    sizes = {choose_chunk_size(TRT, (None, 3, None, None), count) for count in range(1, 300)}
    assert sizes == {1, 2, 4, 8, 16, 32, LARGEST_BATCH}
    assert choose_chunk_size(TRT, (2, 3, None, None), 5) == 2


def test_tensorrt_runs_at_most_the_batch_size_of_its_profile() -> None:
    assert choose_chunk_size(TRT, (None, 3, 8, 8), LARGEST_BATCH) is None
    assert choose_chunk_size(TRT, (None, 3, 8, 8), LARGEST_BATCH + 1) == LARGEST_BATCH

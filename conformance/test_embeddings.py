"""Every architecture: the embedding is what the reference's last layer reads, with float and 8-bit weights.

The expected values come from the graph that `onnx.utils.Extractor` cuts at the same tensor, run by ONNX
Runtime alone, and for float weights from a hook on the last layer of the reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import reference
import torch
from architectures import ARCHITECTURES, LABELS
from drawn import fitted_configuration
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import pictag
from pictag.engines.registry import ENGINE_NAMES, list_installed
from pictag.models.graph_facts import find_embedding
from pictag.pipelines.outputs import require_output

# Of the largest value of the embedding, or of the scores.
MAY_DIFFER_BY = {"fp32": 1e-5, "q8": 1e-3, "int8": 1e-3}
SCORES_MAY_DIFFER_BY = 1e-5
REFERENCE_MAY_DIFFER_BY = 1e-4


@pytest.fixture(scope="session")
def some_images(images: dict[str, Path]) -> list[Path]:
    return list(images.values())[::4]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def zoo_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The reference's model and a folder with its float, static (q8) and dynamic (int8) weights."""
    architecture = ARCHITECTURES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    model = reference.build_model(request.param, architecture)
    reference.write_model(model, architecture.edge, folder)
    configuration = fitted_configuration(architecture.processor, architecture.edge)
    (folder / "preprocessor_config.json").write_text(json.dumps(configuration))
    weights = folder / "onnx" / "model.onnx"
    quantize_dynamic(weights, folder / "onnx" / "model_int8.onnx")
    quantize_static(
        weights,
        folder / "onnx" / "model_quantized.onnx",
        _Noise(architecture.edge),
        QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )
    return model, folder


class _Noise(CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, edge: int) -> None:
        draw = np.random.default_rng(2)
        self._left = [draw.normal(size=(1, 3, edge, edge)).astype(np.float32) for _ in range(8)]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return {"pixel_values": self._left.pop()} if self._left else None


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("dtype", MAY_DIFFER_BY)
def test_embeddings_are_those_of_a_graph_cut_at_the_same_tensor(
    zoo_model: tuple[Any, Path], dtype: str, engine: str, some_images: list[Path]
) -> None:
    if engine not in list_installed():
        pytest.skip(f"needs pip install 'pictag[{engine}]'")
    model, folder = zoo_model
    options: dict[str, Any] = {"model": folder, "dtype": dtype, "engine": engine, "threads": 1}
    with (
        pictag.pipeline(**options, embeddings=True) as embedder,
        pictag.pipeline(**options) as classifier,
    ):
        name, axis = _locate(embedder)
        pixels = [embedder.preprocess(image) for image in some_images]
        cut = cut_graph(embedder.model.weights, name)
        expected = average(np.concatenate([cut(one) for one in pixels]), axis)
        found = embedder.embed(some_images)
        assert found.shape == expected.shape
        assert difference(found, expected) <= MAY_DIFFER_BY[dtype]
        with_, without = (
            np.concatenate([one.forward(values) for values in pixels]) for one in (embedder, classifier)
        )
        assert difference(with_, without) <= SCORES_MAY_DIFFER_BY
    if dtype == "fp32":
        head_input = read_head_input(model, np.concatenate(pixels))
        assert difference(found, average(head_input, axis)) <= REFERENCE_MAY_DIFFER_BY
        spread = found.std(axis=0).max() / np.abs(found).max()
        assert spread > 10 * REFERENCE_MAY_DIFFER_BY, (
            "all images have the same embedding, so this proves nothing"
        )


def _locate(embedder: Any) -> tuple[str, int]:
    embedding = find_embedding(embedder.model.graph, require_output(embedder.model))
    assert embedding.axis is not None
    return embedding.name, embedding.axis


def cut_graph(weights: Path, name: str) -> Any:
    """The part of a graph up to a tensor, as a function of pixel values."""
    model = onnx.shape_inference.infer_shapes(onnx.load(weights))
    part = onnx.utils.Extractor(model).extract_model(["pixel_values"], [name])
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", "1")  # exact products without VNNI
    session = onnxruntime.InferenceSession(
        part.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return lambda pixel_values: session.run(None, {"pixel_values": pixel_values})[0]


def average(tensor: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The mean over all axes but the first and ``axis``."""
    kept = axis % tensor.ndim
    return np.asarray(tensor.mean(axis=tuple(a for a in range(1, tensor.ndim) if a != kept)))


def read_head_input(model: Any, pixel_values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The input of the reference's last layer."""
    seen: list[torch.Tensor] = []
    head = list(_heads(model))[-1]
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(**{model.main_input_name: torch.from_numpy(pixel_values)})
    handle.remove()
    return seen[-1].numpy()


def _heads(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    for module in model.modules():
        width = getattr(module, "out_features", None) or getattr(module, "out_channels", None)
        if width == LABELS:
            yield module


def difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())

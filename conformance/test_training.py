"""The training of the embedded model still works, from the archives to a model that pictag can use."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from pictag import pipeline

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "datasets"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data set in ../shared/datasets")
def test_a_shortened_training_gives_a_model_that_classifies(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "training" / "train.py", "--smoke", "--data", DATA, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with pipeline("image-classification", model=tmp_path / "model") as classifier:
        assert len(classifier.labels) == 200
        # It has learned almost nothing, so no calibrated score is high.
        image = ROOT.parent / "shared" / "images" / "gallery" / "skimage_coffee.png"
        best = classifier(image, top_k=5)
        assert len(best) == 5
        assert best[0]["score"] < 0.5


@pytest.mark.parametrize("angle", [0, 30, 75])
def test_the_graph_compresses_an_image_as_a_jpeg_encoder_does(
    angle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "training"))
    from compression import add_compression
    from export import Graph

    graph = Graph(compress=False)
    output = add_compression(graph, "x", mean=0.45, std=0.27)
    value = onnx.helper.make_tensor_value_info
    shape = [None, 3, 64, 64]
    proto = onnx.helper.make_graph(
        graph.nodes, "jpeg", [value("x", 1, shape)], [value(output, 1, shape)], graph.constants
    )
    model = onnx.helper.make_model(proto, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())

    # Slanted edges, strong colours and a little noise, as in a photograph.
    bars = Image.linear_gradient("L").resize((64, 64)).point(lambda tone: tone // 32 % 2 * 180 + 40)
    channels = (bars.rotate(angle), bars.rotate(angle + 45), Image.radial_gradient("L").resize((64, 64)))
    image = Image.merge("RGB", channels)
    noise = np.random.default_rng(angle).integers(-8, 9, (64, 64, 3))
    pixels = np.clip(np.asarray(image, np.int64) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=75)
    expected = np.asarray(Image.open(stream), np.float32)

    normalised = ((pixels / np.float32(255) - np.float32(0.45)) / np.float32(0.27)).transpose(2, 0, 1)[None]
    (found,) = session.run(None, {"x": normalised})
    restored = (found[0].transpose(1, 2, 0) * 0.27 + 0.45) * 255
    difference = np.abs(restored - expected).mean()
    assert difference < 2.5
    assert difference < np.abs(pixels - expected).mean() / 3

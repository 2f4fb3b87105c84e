"""The built-in EfficientNet-Lite models score photographs as torch does with the packages' own model code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image

from pictag import pipeline
from pictag.models.efficientnet_lite import MODELS, find_package

PHOTOGRAPHS = Path(__file__).resolve().parents[1].parent / "shared" / "images" / "imagenet"
SCORES_MAY_DIFFER_BY = 1e-4


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs the photographs in ../shared/images/imagenet")
@pytest.mark.parametrize("name", MODELS)
def test_scores_of_photographs_are_those_of_torch(name: str, tmp_path: Path) -> None:
    photographs = sorted(PHOTOGRAPHS.glob("*.jpg"))
    assert len(photographs) == 200
    reference = load_reference(name)
    with pipeline("image-classification", model=name, cache_dir=tmp_path) as classifier:
        right = 0
        for path in photographs:
            with torch.no_grad():
                logits = reference(torch.from_numpy(prepare(path, MODELS[name].size)))
            expected = torch.softmax(logits, dim=1).numpy()
            scores = {entry["label"]: entry["score"] for entry in classifier(path, top_k=None)}
            ours = np.array([scores[label] for label in classifier.labels])
            difference = np.abs(ours - expected[0]).max()
            assert difference <= SCORES_MAY_DIFFER_BY, path.name
            right += int(expected.argmax()) == int(path.name.split("_")[0])
    # The model knows these photographs from its training: this proves that the reference itself works.
    assert right > 160


def load_reference(name: str) -> torch.nn.Module:
    model = EfficientNet.from_name(name)
    weights = find_package(name)
    assert weights is not None
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def prepare(path: Path, size: int) -> NDArray[np.float32]:
    """The preparation that the models were trained for, with Pillow and numpy alone."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    edge = int(size / 0.875)
    scale = edge / min(image.size)
    sides = [edge if side == min(image.size) else int(side * scale) for side in image.size]
    image = image.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
    left, top = (sides[0] - size) // 2, (sides[1] - size) // 2
    pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])

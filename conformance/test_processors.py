"""Every processor class: more drawn configurations, on images in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from drawn import configurations

from pictag.preprocess.classes import CLASSES
from pictag.preprocess.reader import read_spec
from pictag.preprocess.run import preprocess
from preprocess.drawing import draw_images

ELSEWHERE = {"MobileNetV3ImageProcessor", "MobileNetV4ImageProcessor", "ViTHybridImageProcessor"}
ELSEWHERE |= {"EfficientFormerImageProcessor"}  # transformers 5.23 has no such classes


@pytest.mark.parametrize("processor", sorted(set(CLASSES) - ELSEWHERE))
def test_a_processor_makes_the_pixels_of_the_reference(processor: str, tmp_path: Path) -> None:
    for configuration in configurations(processor, count=30):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(configuration))
        theirs_of = reference.load_processor(tmp_path, configuration)
        spec = read_spec(config={}, preprocessor=configuration)
        for name, image in draw_images().items():
            ours = preprocess(image, spec)
            try:
                theirs = theirs_of(image, return_tensors="np")["pixel_values"][0].astype(np.float32)
            except ValueError as error:
                if "must be > 0" not in str(error):
                    raise
                continue  # the reference resizes to nothing
            assert ours.shape == theirs.shape, (name, configuration)
            assert np.abs(ours - theirs).max() <= 1e-5, (name, configuration)

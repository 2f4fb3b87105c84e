"""Every architecture: the same pixels, the same scores and the same order of labels as the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import transformers
from architectures import ARCHITECTURES, LABELS, LEFT_OUT
from drawn import configurations, default_configuration, fitted_configuration
from numpy.typing import NDArray

import pictag
from pictag.images import make_source, read_image
from pictag.preprocess.reader import read_spec
from pictag.preprocess.run import preprocess
from results import Result, Results

PIXELS_MAY_DIFFER_BY = 1e-5
SCORES_MAY_DIFFER_BY = 1e-4
DRAWN = 5


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_an_architecture_agrees_with_the_reference(
    model_type: str, tmp_path: Path, images: dict[str, Path], results: Results
) -> None:
    architecture = ARCHITECTURES[model_type]
    result = Result(model_type=model_type, processor=architecture.processor)
    processor, edge = architecture.processor, architecture.edge

    for configuration in [default_configuration(processor), *configurations(processor, count=DRAWN)]:
        compare_pixels(configuration, tmp_path, images, result)

    model = reference.build_model(model_type, architecture)
    reference.write_model(model, edge, tmp_path)
    fitted = [fitted_configuration(processor, edge), *configurations(processor, edge=edge, count=DRAWN)]
    for configuration in fitted:
        usable = compare_pixels(configuration, tmp_path, images, result)
        compare_scores(model, configuration, tmp_path, usable, result)
    results.add(result)
    assert result.spread > 10 * SCORES_MAY_DIFFER_BY, (
        "the model gives the same scores for every image, so the comparison proves nothing"
    )


def compare_pixels(
    configuration: dict[str, Any], folder: Path, images: dict[str, Path], result: Result
) -> dict[str, Path]:
    """Compare all images; return those on which the reference did not fail."""
    usable = {}
    (folder / "preprocessor_config.json").write_text(json.dumps(configuration))
    processor = reference.load_processor(folder, configuration)
    spec = read_spec(config={"model_type": result.model_type}, preprocessor=configuration)
    for name, path in images.items():
        ours = preprocess(read_image(make_source(path)).rgb, spec)
        theirs = reference.reference_pixels(processor, path)
        if theirs is None:
            assert np.isfinite(ours).all()
            continue
        assert ours.shape == theirs.shape, (name, configuration)
        assert ours.dtype == np.float32
        difference = largest_difference(ours, theirs)
        assert difference <= PIXELS_MAY_DIFFER_BY, (name, configuration)
        result.note_pixels(difference)
        usable[name] = path
    return usable


def largest_difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return 0.0 if np.array_equal(ours, theirs) else float(np.abs(ours - theirs).max())


def compare_scores(
    model: Any, configuration: dict[str, Any], folder: Path, images: dict[str, Path], result: Result
) -> None:
    processor = reference.load_processor(folder, configuration)
    theirs_line = transformers.pipeline("image-classification", model=model, image_processor=processor)
    first_scores = []
    with pictag.pipeline("image-classification", model=folder, threads=1) as classifier:
        for name, path in images.items():
            ours = classifier(path, top_k=None)
            theirs = theirs_line(str(path), top_k=LABELS)
            their_score = {entry["label"]: entry["score"] for entry in theirs}
            difference = max(abs(entry["score"] - their_score[entry["label"]]) for entry in ours)
            assert difference <= SCORES_MAY_DIFFER_BY, (name, configuration)
            assert [entry["label"] for entry in ours] == [entry["label"] for entry in theirs], name
            result.note_scores(difference)
            first_scores.append(their_score["label 0"])
    result.note_spread(max(first_scores) - min(first_scores))


def test_every_architecture_of_the_reference_is_compared_or_left_out_for_a_reason() -> None:
    known = set(reference.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    assert set(ARCHITECTURES) | set(LEFT_OUT) == known

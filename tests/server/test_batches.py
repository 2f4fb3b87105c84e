"""An image's result doesn't depend on the other images in its batch."""

from __future__ import annotations

import asyncio
import io
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictag.images import make_source
from pictag.server.dispatch import Dispatcher
from pictag.server.prometheus import Metrics
from pictag.server.settings import ServerSettings
from recording import serve_recorder
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from pictag.execution import Outcome
    from pictag.server.served_model import ServedModel

FORMS = ("PNG", "JPEG", "WEBP", "GIF")
IMAGES = st.tuples(st.integers(0, 2**31), st.integers(1, 90), st.integers(1, 90), st.sampled_from(FORMS))


@pytest.fixture(scope="module", params=["embedded", "tiny"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return (
        "embedded" if request.param == "embedded" else str(make_tiny_model(tmp_path_factory.mktemp("tiny")))
    )


@cache
def open_served(model: str, together: int) -> ServedModel:
    return serve_recorder(model, together=together)


def make_noise(seed: int, width: int, height: int, form: str) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(stream, form)
    return stream.getvalue()


@settings(max_examples=10)
@given(
    images=st.lists(IMAGES, min_size=1, max_size=10),
    as_tensors=st.sets(st.integers(0, 9)),
    shape=st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(1, 8)),
)
def test_an_image_gets_the_same_logits_in_any_batch(
    model: str,
    images: list[tuple[int, int, int, str]],
    as_tensors: set[int],
    shape: tuple[int, int, int],
) -> None:
    workers, together, max_batch = shape
    served = open_served(model, together)
    encoded = [make_noise(*image) for image in images]
    prepared = [served.runner.load(make_source(data))[0] for data in encoded]
    alone = [served.runner.infer(pixels)[0] for pixels in prepared]

    async def main() -> list[Outcome]:
        dispatcher = Dispatcher(ServerSettings(threads=workers, max_batch=max_batch), metrics=Metrics())
        deadline_s = time.monotonic() + 60
        calls: list[Any] = [
            dispatcher.infer(served, pixels, deadline_s=deadline_s)
            if index in as_tensors
            else dispatcher.classify(served, data, deadline_s=deadline_s)
            for index, (data, pixels) in enumerate(zip(encoded, prepared, strict=True))
        ]
        try:
            found: list[Outcome] = await asyncio.gather(*calls)
            return found
        finally:
            dispatcher.close()

    for own, found in zip(alone, asyncio.run(main()), strict=True):
        assert found.logits is not None
        np.testing.assert_allclose(found.logits, own, rtol=0, atol=1e-5)

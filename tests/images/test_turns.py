"""Threads that are given the same object take turns; with different ones they do not wait."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from pictag.images import make_source, read_image
from pictag.images.turns import _turns, take_turns


def test_one_image_given_many_times_is_the_same_image_each_time() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    together = threading.Barrier(8)

    def read(image: Image.Image) -> bytes:
        together.wait()
        return read_image(make_source(image)).rgb.tobytes()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(30):
            image = Image.open(io.BytesIO(file.getvalue()))  # its pixels are not decoded yet
            assert set(pool.map(read, [image] * 8)) == {noise.tobytes()}


def test_different_objects_do_not_wait_for_each_other_and_nothing_is_kept() -> None:
    with take_turns([1]), take_turns([1]):
        assert len(_turns) == 2
    assert not _turns

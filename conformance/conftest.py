"""Fixtures of the conformance tests: the images, and the results for the generated page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from preprocess.drawing import write_images
from results import Results


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # the models are too small for several threads


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def results() -> Iterator[Results]:
    gathered = Results()
    yield gathered
    gathered.write()

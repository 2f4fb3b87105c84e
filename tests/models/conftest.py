"""A Hub with one model, and a home folder that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubclient import NAME, Home, make_files
from hubserver import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def home(hub: HubServer, tmp_path: Path) -> Home:
    return Home(hub=hub, cache=tmp_path / "home")


@pytest.fixture
def commit(hub: HubServer, tmp_path: Path) -> str:
    return hub.publish(NAME, make_files(tmp_path / "published"))

"""What all tests share: the folder of real models and pictures, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and pictures beside the project."""
    if not (SHARED / "README.md").is_file():
        pytest.skip("needs the folder ../shared beside the project (real models and pictures)")
    return SHARED

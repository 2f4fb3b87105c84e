"""What all tests share: the folder of real models and images, and hypothesis's settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadlines: a slow machine isn't a failure, and pytest-timeout ends tests that hang.
settings.register_profile("unhurried", deadline=None)
# In continuous integration the examples are always the same, so that only a change of the code fails a run.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady" if os.environ.get("CI") else "unhurried")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and images beside the project."""
    if not (SHARED / "README.md").is_file():
        pytest.skip("needs the folder ../shared beside the project (real models and images)")
    return SHARED

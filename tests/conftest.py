"""What all tests share: the folder of real models and images, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that is busy with something else is no failure of ours; pytest-timeout still ends what hangs.
settings.register_profile("unhurried", deadline=None)
# A desk searches anew each time; in continuous integration only a change of the code turns a run red.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady" if os.environ.get("CI") else "unhurried")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and images beside the project."""
    if not (SHARED / "README.md").is_file():
        pytest.skip("needs the folder ../shared beside the project (real models and images)")
    return SHARED

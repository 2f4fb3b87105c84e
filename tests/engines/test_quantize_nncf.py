"""NNCF prints and sends nothing, and the error without it says how to install it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engines.tinygraphs import CONVOLUTIONS, make_graph, make_samples
from pictag.engines.quantize_graph import list_quantized
from pictag.engines.quantize_nncf import import_nncf, quantize_with_nncf
from pictag.errors import EngineError, MissingExtra

pytestmark = pytest.mark.slow  # importing nncf takes a second


def test_nothing_is_sent_and_nothing_printed() -> None:
    program = (
        "import sys; from pictag.engines.quantize_nncf import import_nncf; import_nncf();"
        "assert 'openvino_telemetry' not in sys.modules;"
        "from nncf.telemetry.wrapper import telemetry; assert type(telemetry).__name__ == 'MagicMock'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pictag\[quantize\]'"):
        import_nncf()


def test_convolutions_are_quantized_without_output(capfd: pytest.CaptureFixture[str]) -> None:
    graph = make_graph(CONVOLUTIONS)
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}_{number}"
    quantized = quantize_with_nncf(
        graph, make_samples(), attention=False, target="x86", on_sample=lambda _: None
    )
    assert len(list_quantized(quantized)) >= 3
    assert capfd.readouterr() == ("", "")


def test_failures_of_nncf_are_engine_errors() -> None:
    with pytest.raises(EngineError, match="NNCF could not quantize"):
        quantize_with_nncf(
            make_graph(CONVOLUTIONS), [], attention=False, target="vnni", on_sample=lambda _: None
        )

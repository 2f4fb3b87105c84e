"""Imports point down the layers of docs/architecture.md, and each heavy package is imported in one module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src" / "pictag"

LAYERS = {
    "errors": 0, "records": 0, "options": 0, "replacement": 0, "substitutes": 0,
    "transformers_names": 0,
    "images": 1, "preprocess": 1, "models": 1, "engines": 1, "postprocess": 1, "sinks": 1,
    "vocabulary": 1, "metadata": 1, "similarity": 1,
    "pipelines": 2, "execution": 2,
    "benchmark": 3, "evaluation": 3, "explanation": 3, "gallery": 3, "keywords": 3, "quantization": 3,
    "teaching": 3,
    "browser": 4, "cli": 4, "server": 4, "settings": 4, "__main__": 4,
}  # fmt: skip
# Imports between packages of one layer, each with its reason.
SIDEWAYS = {
    ("models", "preprocess"),  # a model's files say how its images are prepared
    ("pipelines", "execution"),
    ("metadata", "images"),  # what Pillow raises for broken files
    ("teaching", "evaluation"),  # labelled images, and figures with intervals
    ("options", "errors"),
    ("replacement", "errors"),
    ("options", "transformers_names"),
    ("cli", "settings"),
    ("cli", "server"),  # pictag serve
    ("cli", "browser"),  # pictag browse
    ("browser", "server"),  # the headers that protect a page, and the listening socket
    ("server", "settings"),
    ("__main__", "cli"),
}
# ONNX Runtime reads some of its settings only from the environment.
ENVIRONMENT_READERS = {"settings.py", "engines/__init__.py"}
# An image's failure becomes a value in one function; the executor's threads pass everything else on.
BROAD_CATCHES = {"execution/outcome.py", "execution/executor.py"}


@dataclass(frozen=True, kw_only=True)
class Module:
    """One source file, parsed once for all tests here."""

    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def layer(self) -> int:
        return LAYERS[self.package]

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """Names of imported modules, wherever in the file, with the line."""
        return list(self._find_imports())

    def _find_imports(self) -> Iterator[tuple[str, int]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                if node.module == "pictag":
                    yield from ((f"pictag.{alias.name}", node.lineno) for alias in node.names)
                else:
                    yield (node.module or "", node.lineno)


def read_module(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(path=path.relative_to(SRC).as_posix(), text=text, tree=ast.parse(text))


MODULES = [read_module(path) for path in sorted(SRC.rglob("*.py")) if path != SRC / "__init__.py"]
SERVER = {module.path for module in MODULES if module.package in ("browser", "server")}  # one extra
# The only modules that may import an optional or heavy package.
HEAVY = {
    "onnxruntime": {
        "engines/onnxruntime.py", "engines/quantize_static.py",
    },
    "pyarrow": {"sinks/parquet.py"},
    "httpx2": {"images/fetch.py", "models/hub_client.py", "models/hub_errors.py"},
    "openvino": {"engines/openvino.py"},
    "starlette": SERVER,
    "uvicorn": SERVER,
    "httptools": SERVER,
    "prometheus_client": SERVER,
    "pydantic": SERVER,
    "torch": set(),
    "transformers": set(),
    "onnx": {"engines/quantize_graph.py", "models/efficientnet_graph.py", "teaching/head_graph.py"},
    "sklearn": {"teaching/fit.py"},
    "scipy": {"teaching/fit.py"},
    "nncf": {"engines/quantize_nncf.py"},
    "skimage": set(),
}  # fmt: skip


def test_every_package_has_a_layer() -> None:
    assert {module.package for module in MODULES} <= set(LAYERS)


def test_the_docs_have_a_sentence_about_every_package() -> None:
    page = (SRC.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {module.package for module in MODULES if "/" in module.path}
    described = set(re.findall(r"`(\w+)/`", page.partition("Each package in one sentence:")[2]))
    assert packages <= described


def test_imports_point_down() -> None:
    wrong = []
    for module in MODULES:
        for name, line in module.imports:
            if not name.startswith("pictag."):
                continue
            other = name.split(".")[1]
            if other in (module.package, "__version__"):
                continue
            if other not in LAYERS:  # a public name, such as pictag.pipeline
                allowed = module.layer == 4
            elif LAYERS[other] == module.layer:
                allowed = (module.package, other) in SIDEWAYS
            else:
                allowed = LAYERS[other] < module.layer
            if not allowed:
                wrong.append(f"{module.path}:{line} imports {name}")
    assert wrong == []


def test_heavy_packages_are_imported_where_they_may_be() -> None:
    users = [
        f"{module.path}:{line} imports {name}"
        for module in MODULES
        for name, line in module.imports
        if module.path not in HEAVY.get(name.split(".")[0], {module.path})
    ]
    assert users == []


def test_no_import_cycle() -> None:
    names = {module.name for module in MODULES}
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        # Imports inside functions, or only for the type checker, don't make a cycle.
        lazy = {
            id(inner)
            for node in ast.walk(module.tree)
            if isinstance(node, (ast.If, ast.FunctionDef))
            for inner in ast.walk(node)
            if inner is not node
        }
        graph[module.name] = {
            node.module.removeprefix("pictag.")
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in lazy
        } & names
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                if not name.startswith(other + "."):
                    visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_only_interfaces_print() -> None:
    assert [m.path for m in MODULES if m.layer < 4 and re.search(r"^\s*print\(", m.text, re.M)] == []


def test_only_settings_read_the_environment() -> None:
    readers = {m.path for m in MODULES if re.search(r"os\.(environ|getenv)", m.text)}
    assert readers <= ENVIRONMENT_READERS


def test_module_names_say_what_is_inside() -> None:
    assert [m.path for m in MODULES if re.search(r"util|helper|common|manager|misc", m.path)] == []


def test_broad_catches_are_where_they_may_be() -> None:
    broad = []
    for module in MODULES:
        if module.layer == 4 or module.path in BROAD_CATCHES:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                # Cleaning up before the same exception continues hides nothing.
                reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                is_broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
                if is_broad and not reraises:
                    broad.append(f"{module.path}:{node.lineno}")
    assert broad == []

"""The tree keeps its floors: imports point down, rooms of one floor do not know each other, and no cycle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "pictag"

FLOORS = {
    "errors": 0, "records": 0, "options": 0,
    "images": 1, "preprocess": 1, "models": 1, "engines": 1, "postprocess": 1, "sinks": 1,
    "pipeline": 2, "stream": 2,
    "gallery": 3, "keywords": 3, "moderation": 3, "medical": 3, "evaluation": 3, "cluster": 3,
    "benchmark": 3, "quantize": 3,
    "cli": 4, "server": 4, "settings": 4, "__main__": 4,
}  # fmt: skip
# Rooms of one floor that may see each other, each for a reason that architecture.md gives.
NEIGHBOURS = {
    ("models", "preprocess"),  # a model's files say how its pictures are prepared
    ("pipeline", "stream"),
    ("options", "errors"),
    ("cli", "settings"),
    ("cli", "server"),  # pictag serve
    ("server", "settings"),
    ("__main__", "cli"),
}
SERVER = {str(path.relative_to(SRC)) for path in (SRC / "server").rglob("*.py")}  # its one extra, in one room
# Each optional or heavy package is imported in one leaf module alone.
LEAVES = {
    "onnxruntime": {
        "engines/onnxruntime.py", "engines/quantize_static.py", "benchmark/limits.py", "benchmark/work.py",
    },
    "pyarrow": {"sinks/parquet.py"},
    "httpx2": {"images/fetch.py", "models/hub_client.py", "models/hub_errors.py", "models/hub_guard.py"},
    "openvino": {"engines/openvino.py", "benchmark/limits.py"},
    "starlette": SERVER,
    "uvicorn": SERVER,
    "httptools": SERVER,
    "prometheus_client": SERVER,
    "pydantic": SERVER,
    "pydantic_settings": SERVER,
    "torch": set(),
    "transformers": set(),
    "onnx": {"engines/quantize_graph.py"},
    "nncf": {"engines/quantize_nncf.py"},
    "skimage": set(),
}  # fmt: skip


def imports_of(path: Path) -> list[tuple[str, int]]:
    """Names of modules that a file imports, wherever in it, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            module = node.module or ""
            if module == "pictag":
                found += [(f"pictag.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((module, node.lineno))
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


FILES = sorted(p for p in SRC.rglob("*.py") if p != SRC / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    for name, line in imports_of(path):
        if not name.startswith("pictag.") or name.split(".")[1] in (room, "__version__"):
            continue
        other = name.split(".")[1]
        if FLOORS.get(other) == FLOORS[room]:
            assert (room, other) in NEIGHBOURS, f"{path}:{line}: {room} and {other} are rooms of one floor"
        elif other in FLOORS:
            assert FLOORS[other] < FLOORS[room], f"{path}:{line}: {room} reaches up to {other}"
        else:
            assert FLOORS[room] == 4, f"{path}:{line}: only doors go through the front door (imports {name})"


def test_every_room_stands_on_a_floor() -> None:
    assert {room_of(p) for p in FILES} <= set(FLOORS)


@pytest.mark.parametrize("package", sorted(LEAVES))
def test_heavy_packages_are_imported_in_their_leaf_alone(package: str) -> None:
    users = {
        str(path.relative_to(SRC))
        for path in FILES
        if any(name.split(".")[0] == package for name, _ in imports_of(path))
    }
    assert users <= LEAVES[package]


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    names = {".".join(p.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        # Imports that the type checker alone sees make no circle.
        lazy = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, (ast.If, ast.FunctionDef))
            for inner in ast.walk(node)
            if inner is not node
        }
        graph[name] = {
            node.module.removeprefix("pictag.")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in lazy
        } & set(names)
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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_only_doors_print_and_only_settings_read_the_environment(path: Path) -> None:
    text = path.read_text()
    if FLOORS[room_of(path)] < 4:
        assert not re.search(r"^\s*print\(", text, re.M), f"{path} prints"
    # The engines' room tells ONNX Runtime something there, which has no other way to be told.
    if path.name != "settings.py" and path != SRC / "engines" / "__init__.py":
        assert not re.search(r"os\.(environ|getenv)", text), f"{path} reads the environment"


def test_no_module_is_called_after_nothing() -> None:
    assert not [p for p in FILES if re.search(r"util|helper|common|manager|misc", p.name)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_broad_catches_stand_only_where_they_may(path: Path) -> None:
    if FLOORS[room_of(path)] == 4 or path == SRC / "stream" / "lanes.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            name = getattr(node.type, "id", None)
            # Cleaning up before the same exception goes on hides nothing.
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            broad = node.type is None or name in ("Exception", "BaseException")
            assert passes_on or not broad, f"{path}:{node.lineno} catches everything"

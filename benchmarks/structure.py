"""Size and shape of the code: statements, calls for one image, depth of the server's imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT, Figure, Options

if TYPE_CHECKING:
    from collections.abc import Iterable

SRC = ROOT / "src" / "pictag"


def run(_options: Options) -> list[Figure]:
    graph = read_imports(SRC / "server")
    depth, cycles = measure_depth(graph), find_cycles(graph)
    with TemporaryDirectory() as folder:
        image = draw_image(Path(folder))
        call, server, process = (count_calls(what, image) for what in ("call", "server", "process"))
    figures = [
        ("statements of src/pictag", count_statements(SRC), 9_600),
        ("statements of src/pictag/server", count_statements(SRC / "server"), 2_450),
        ("statements of tests", count_statements(ROOT / "tests"), 9_900),
        ("files of src/pictag/server", len(list((SRC / "server").rglob("*.py"))), 36),
        ("depth of the server's imports", depth, 6),
        ("import cycles in the server", len(cycles), 0),
        ("calls of a warm classifier(x)", call["calls"], 40),
        ("calls in the server's worker", server["calls"], 45),
        ("calls of 'pictag classify x.jpg', outside the graph parser", process["calls"], 600),
        ("times 'pictag classify x.jpg' parses the graph", process["parses"], 1),
    ]
    return [Figure(name=name, measured=count, target=target, unit="") for name, count, target in figures]


def count_statements(folder: Path) -> int:
    """Statements of all Python files in a folder, without docstrings."""
    return sum(_count(ast.parse(path.read_text(encoding="utf-8"))) for path in folder.rglob("*.py"))


def _count(tree: ast.Module) -> int:
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return sum(
        isinstance(node, ast.stmt)
        - (isinstance(node, scopes) and ast.get_docstring(node, clean=False) is not None)
        for node in ast.walk(tree)
    )


def count_calls(what: str, image: Path) -> dict[str, int]:
    """What `benchmarks.programs.count_calls` counts, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.programs.count_calls", what, str(image)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


def draw_image(folder: Path) -> Path:
    """A JPEG of an ordinary size."""
    from PIL import Image

    path = folder / "x.jpg"
    Image.radial_gradient("L").resize((500, 375)).convert("RGB").save(path)
    return path


def read_imports(folder: Path) -> dict[str, set[str]]:
    """The modules of a package, and which others of it each imports (also in functions and for types)."""
    modules = {_name(path): path for path in sorted(folder.rglob("*.py"))}
    return {
        name: set(_list_imports(ast.parse(path.read_text(encoding="utf-8")))) & set(modules) - {name}
        for name, path in modules.items()
    }


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")


def _list_imports(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def measure_depth(graph: dict[str, set[str]]) -> int:
    """The number of modules on the longest chain of imports; modules of a cycle count once."""
    groups = find_cycles(graph)
    group_of = {name: index for index, group in enumerate(groups) for name in group}

    @cache
    def depth(name: str) -> int:
        group = groups[group_of[name]] if name in group_of else {name}
        below = {other for member in group for other in graph[member]} - group
        return 1 + max(map(depth, below), default=0)

    return max(map(depth, graph))


def find_cycles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Groups of modules that all import each other, directly or not."""
    reached = {name: _reach(graph, name) for name in graph}
    groups = {
        frozenset({name} | {other for other in reached[name] if name in reached[other]}) for name in graph
    }
    return [group for group in groups if len(group) > 1]


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph[name])
    return found

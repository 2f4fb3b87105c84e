"""The code blocks of the pages run, in order, as a reader would type them.

A page's ``python`` blocks share one namespace; in ``console`` blocks the lines after ``$`` are run by a shell
and must succeed. Both run in a folder with the images that the pages speak of, drawn by code. A block that
cannot run here stands below a comment ``<!-- not run: reason -->``. Where a page speaks of a server, there is
one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pictag
from pictag import errors
from pictag.models import standalone_onnx
from tinymodel import make_tiny_model

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<kind>python|console)\n(?P<text>.*?)```", re.S
)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)
# With more than a few blocks that don't run, errors on the pages would go unnoticed.
MOST_NOT_RUN = 12
SERVER = "127.0.0.1:8000"


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a reader's: some photographs, and a model."""
    from PIL import Image

    desk = tmp_path_factory.mktemp("desk")
    (desk / "photos" / "holiday").mkdir(parents=True)
    for number, name in enumerate(
        [
            "tiger.jpg",
            "cat.jpg",
            "photos/beach.jpg",
            "photos/cup.png",
            "photos/holiday/tower.webp",
            "photos/holiday/wave.jpg",
        ]
    ):
        gradient = Image.radial_gradient("L").resize((320, 240))
        flat = Image.new("L", gradient.size, 40 * number)
        Image.merge("RGB", (gradient, flat, gradient.rotate(90))).save(desk / name)
    make_tiny_model(desk / "my-model")
    # Mixed colours, most of them in the folder of the colour that they have most of.
    for number in range(160):
        colour = [(number * 97) % 256, (number * 61 + 80) % 256, (number * 151 + 160) % 256]
        place = (colour.index(max(colour)) + (number % 7 == 0)) % 3
        folder = desk / "labelled" / ("train", "val")[number % 2] / ("red", "green", "blue")[place]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), tuple(colour)).save(folder / f"{number}.png")
    return desk


def blocks(page: Path) -> list[re.Match[str]]:
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a page's server, which the page calls ``SERVER``."""
    if request.node.callspec.params["page"].name != "server.md":
        yield SERVER
        return
    from liveserver import run_server

    with run_server(models=("embedded",), log_requests=False) as live:
        yield f"127.0.0.1:{live.port}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_code_on_a_page_runs(
    page: Path, desk: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "PICTAG_LIBRARY": str(desk / "gallery.db"),
    }
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        if block["reason"]:
            continue
        line = page.read_text(encoding="utf-8").count("\n", 0, block.start("text")) + 1
        text = block["text"].replace(SERVER, address)
        if block["kind"] == "python":
            # With blank lines before it, a traceback names the line of the page.
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), namespace)
            continue
        for command in re.findall(r"^\$ (.*(?:\\\n.*)*)", text, re.M):
            if command.startswith("curl ") and shutil.which("curl") is None:
                continue  # make test needs only Python and make
            done = subprocess.run(
                ["sh", "-c", command],
                env=environment, cwd=desk, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{page.name}:{line}: $ {command}\n{done.stdout}{done.stderr}"


def test_nearly_all_blocks_run() -> None:
    assert sum(bool(block["reason"]) for page in PAGES for block in blocks(page)) <= MOST_NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_have_targets(page: Path) -> None:
    for target, heading in LINK.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name} links to {target}"
        if heading:
            headings = HEADING.findall(path.read_text(encoding="utf-8"))
            assert heading in map(make_anchor, headings), f"{page.name} links to {target}#{heading}"


def make_anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.shared
def test_the_sample_in_the_readme_is_what_the_command_prints(shared: Path, tmp_path: Path) -> None:
    command, sample = re.findall(r"```text\n\$ pictag (.*)\n((?:.*\n)*?)```", PAGES[0].read_text("utf-8"))[0]
    for name in ("chelsea.png", "coffee.png", "rocket.jpg"):
        shutil.copy(shared / "images" / "gallery" / f"skimage_{name}", tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "pictag", *command.split(), "--format", "table"],
        env=os.environ | {"COLUMNS": "80"}, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout == sample


def load_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_page_of_the_command_line_equals_the_help() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert page == load_script("make_command_line").make_page(), "run: python docs/make_command_line.py"


def test_the_page_of_the_vocabulary_equals_the_data() -> None:
    page = (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8")
    assert page == load_script("make_vocabulary").make_page(), "run: python docs/make_vocabulary.py"


def test_the_tables_of_options_equal_the_docstrings() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == load_script("make_options").make_page(page), "run: python docs/make_options.py"


REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", pictag.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in REFERENCE


def test_every_error_is_in_the_reference() -> None:
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.PictagError):
            assert f"`{name}`" in REFERENCE, name


def test_every_key_of_a_plain_models_settings_is_in_the_reference() -> None:
    for key in standalone_onnx._KEYS:
        assert re.search(rf"^{key} = ", REFERENCE, re.M), key


def test_every_setting_of_the_server_is_on_its_page() -> None:
    from pictag.server.settings import ServerSettings, write_value

    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for name, field in ServerSettings.model_fields.items():
        default = field.get_default()
        shown = "" if default is None else f"`{write_value(default)}`"
        assert f"| `{name}` | {shown} | {field.description} |" in page

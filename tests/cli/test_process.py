"""Streams, signals and imports, which need a process of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest

from pictag.sinks.csv import read_csv
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.parquet import read_parquet
from tinymodel import make_image

Pictag = Callable[..., subprocess.CompletedProcess[bytes]]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")


@pytest.fixture
def many(tmp_path: Path) -> list[str]:
    """Some hundred images that take a while."""
    folder = tmp_path / "many"
    first = make_image(folder / "0000.png", "green", size=(700, 500))
    for number in range(1, 250):
        os.link(first, folder / f"{number:04}.png")
    return [f"many/{number:04}.png" for number in range(250)]


def start(*arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pictag", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(path: Path, size: int) -> None:
    for _ in range(1500):
        if path.exists() and path.stat().st_size > size:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} does not grow")


@posix_only
@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("run.jsonl", (signal.SIGINT, 130)),
        ("run.csv", (signal.SIGTERM, 143)),
        ("run.parquet", (signal.SIGINT, 130)),
        ("run.jsonl", (signal.SIGKILL, -9)),
        ("run.parquet", (signal.SIGKILL, -9)),
    ],
)
def test_an_interrupted_run_leaves_a_whole_file_and_can_be_resumed(
    tmp_path: Path, tiny: str, many: list[str], name: str, ending: tuple[int, int]
) -> None:
    path = tmp_path / name
    written = tmp_path / "run.parquet.unfinished.jsonl" if name == "run.parquet" else path
    number, status = ending
    run = ["classify", "many", "--model", tiny, "--output", name, "--batch-size", "2", "--threads", "1"]
    process = start(*run, cwd=tmp_path)
    wait_for(written, 1000)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status, err
    if number == signal.SIGKILL:
        with written.open("ab") as stream:
            stream.write(b'{"source": "many/02')  # as a crash of the machine would leave it
        path = written
    else:
        assert re.fullmatch(rb"pictag: Interrupted after \d+ images?\. .* --resume to continue\.\n", err)
    readers = {".jsonl": read_jsonl, ".csv": read_csv, ".parquet": read_parquet}
    finished = [prediction.source for prediction in readers[path.suffix](path)]
    assert 0 < len(finished) < len(many)
    assert finished == many[: len(finished)]
    process = start(*run, "--resume", cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    path = tmp_path / name
    assert [prediction.source for prediction in readers[path.suffix](path)] == many
    assert {p.name for p in tmp_path.iterdir()} <= {"many", name, f"{name}.meta.json"}


@posix_only
@pytest.mark.parametrize(
    "module", ["click.exceptions", "pictag.cli.ending", "numpy.exceptions", "onnxruntime.capi"]
)
def test_an_interruption_while_modules_are_imported_is_one_sentence(
    tmp_path: Path, tiny: str, module: str
) -> None:
    make_image(tmp_path / "red.png")
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "pictag", "classify", "red.png", "--model", tiny],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith(f" {module}"):  # it has been imported
            break
    process.send_signal(signal.SIGINT)
    said = [line for line in process.stderr if not line.startswith("import time:")]
    assert said == ["pictag: Interrupted.\n"]
    # Python ends itself with the signal if it was received in code that was being compiled.
    assert process.wait(timeout=30) in (130, -signal.SIGINT)
    process.stderr.close()


@posix_only
def test_an_interruption_does_not_wait_for_a_silent_server(tmp_path: Path, tiny: str) -> None:
    make_image(tmp_path / "red.png")
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/{number}.png" for number in range(20)]
        options = ["--allow-private-urls", "--timeout", "60", "--batch-size", "1", "--output", "run.jsonl"]
        process = start("classify", "red.png", *urls, "--model", tiny, *options, cwd=tmp_path)
        wait_for(tmp_path / "run.jsonl", 0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)  # less than the run's own --timeout
    assert process.returncode == 130, err
    assert err.startswith(b"pictag: Interrupted after 1 image. Results: run.jsonl. Use --resume")
    assert [prediction.source for prediction in read_jsonl(tmp_path / "run.jsonl")] == ["red.png"]


@posix_only
def test_a_closed_pipe_ends_the_run_quietly(tmp_path: Path, tiny: str, many: list[str]) -> None:
    for format_ in ("jsonl", "table"):
        process = start("classify", "many", "--model", tiny, "--format", format_, cwd=tmp_path)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=30) == 141
        assert err == b""


@pytest.mark.parametrize(
    "command",
    ["--version", "--help", "classify --help", "serve --help", "classify red.png --model TINY"],
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, tiny: str, command: str) -> None:
    make_image(tmp_path / "red.png")
    heavy = {"huggingface_hub", "httpx2", "pyarrow", "rich", "uvicorn", "starlette", "pydantic"}
    if "TINY" not in command:
        heavy |= {"numpy", "PIL", "onnxruntime"}
    code = (
        "import sys; from pictag.cli import main\n"
        f"status = main({command.replace('TINY', tiny).split()!r})\n"
        f"print(status, sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_an_image_from_standard_input(pictag: Pictag, tmp_path: Path, tiny: str) -> None:
    image = make_image(tmp_path / "red.png").read_bytes()
    done = pictag("classify", "-", "--model", tiny, stdin=image)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert (line["source"], line["labels"][0]["label"]) == ("<stdin>", "red")


@posix_only
def test_a_list_from_standard_input_may_have_names_that_are_not_utf8(
    pictag: Pictag, tmp_path: Path, tiny: str
) -> None:
    image = make_image(tmp_path / "red.png").read_bytes()
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as stream:  # noqa: PTH123 - the name is not valid text
        stream.write(image)
    done = pictag(
        "classify", b"caf\xe9.png", "--from-file", "-", "--model", tiny, stdin=b"red.png\ncaf\xe9.png\n"
    )
    assert done.returncode == 0, done.stderr
    names = [os.fsencode(json.loads(line)["source"]) for line in done.stdout.splitlines()]
    assert names == [b"caf\xe9.png", b"red.png", b"caf\xe9.png"]


@posix_only
@pytest.mark.parametrize("listed", ["-", "names"])
def test_results_appear_before_a_piped_list_has_ended(tmp_path: Path, tiny: str, listed: str) -> None:
    make_image(tmp_path / "red.png")
    os.mkfifo(tmp_path / "names")
    process = subprocess.Popen(
        [sys.executable, "-m", "pictag", "classify", "--from-file", listed, "--model", tiny],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    seen = threading.Event()

    def write(names: IO[bytes]) -> None:
        with names:
            while not seen.wait(0.05):
                names.write(b"red.png\n")
                names.flush()

    names = process.stdin if listed == "-" else (tmp_path / "names").open("wb")
    writer = threading.Thread(target=write, args=[names])
    writer.start()
    try:
        assert json.loads(process.stdout.readline())["source"] == "red.png"
    finally:
        seen.set()
        writer.join()
    process.stdin.close()
    process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=30) == 0


@posix_only
def test_closed_streams_do_not_crash_the_command(tmp_path: Path, tiny: str) -> None:
    make_image(tmp_path / "red.png")
    for closed, status in (("<&-", 0), ("2>&-", 0), (">&-", 2)):
        command = f'"$0" -m pictag classify red.png --model "$1" {closed}'
        done = subprocess.run(
            ["/bin/sh", "-c", command, sys.executable, tiny], capture_output=True, cwd=tmp_path, check=False
        )
        assert done.returncode == status, done.stderr
        assert b"inside pictag" not in done.stderr


def test_a_url_of_this_machine_needs_an_option(tmp_path: Path, tiny: str, pictag: Pictag) -> None:
    image = make_image(tmp_path / "red.png").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(image)))
            self.end_headers()
            self.wfile.write(image)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/red.png"
        refused = pictag("classify", url, "--model", tiny)
        allowed = pictag("classify", url, "--model", tiny, "--allow-private-urls", "--timeout", "5")
        server.shutdown()
    assert (refused.returncode, allowed.returncode) == (1, 0)
    assert json.loads(refused.stdout)["error"]["kind"] == "AddressRefused"
    line = json.loads(allowed.stdout)
    assert (line["source"], line["labels"][0]["label"]) == (url, "red")


@posix_only
def test_the_shell_completes_options(pictag: Pictag) -> None:
    done = pictag(_PICTAG_COMPLETE="bash_complete", COMP_WORDS="pictag classify --resu", COMP_CWORD="2")
    assert b"--resume" in done.stdout

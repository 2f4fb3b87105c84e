from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from liveserver import Process, ask, connect, read_answer, read_to_end, run_process, run_server, wait_until
from pictag.errors import CorruptModel, ModelNotFound, ModelUnavailable, OptionError
from pictag.server.app import make_app
from pictag.server.services import make_services
from pictag.server.serving import GracefulServer, choose_status
from pictag.server.settings import ServerSettings
from pictag.server.sockets import bind
from tinymodel import make_image, make_tiny_model

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("p") / "p.png", size=(300, 200)).read_bytes()


class Load:
    """Clients that send requests until the server stops accepting connections; counts the outcomes."""

    def __init__(self, port: int, image: bytes, *, kept: int, single: int) -> None:
        self.port, self.image = port, image
        self.outcomes: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._ask_kept) for _ in range(kept)]
        self.threads += [threading.Thread(target=self._ask_single) for _ in range(single)]
        for thread in self.threads:
            thread.start()

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """Send one request; returns whether another may follow on the connection."""
        try:
            connection.request("POST", "/", body=self.image)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.outcomes[f"lost: {error!r}"] += 1
            return False
        self.outcomes[f"{answer.status}" + ("" if body.startswith(b"[{") else body.decode())] += 1
        return not answer.will_close

    def _ask_kept(self) -> None:
        """Send requests on a connection until the server closes it, then open the next."""
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect()
            except OSError:
                return
            while self._ask(connection):
                pass
            connection.close()

    def _ask_single(self) -> None:
        """Open a new connection for each request."""
        for _ in range(10_000):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect()
            except OSError:
                return
            self._ask(connection)
            connection.close()

    def finish(self) -> Counter[str]:
        for thread in self.threads:
            thread.join(60)
        return self.outcomes


def stop_under_load(folder: Path, image: bytes, number: signal.Signals) -> None:
    with run_process(folder, "--model", "embedded") as process:
        port = process.port()
        load = Load(port, image, kept=6, single=2)
        wait_until(lambda: load.outcomes["200"] > 30)
        process.popen.send_signal(number)
        status = process.wait(25)
        outcomes = load.finish()
        lines = process.lines()
    assert list(outcomes) == ["200"], outcomes
    assert status == 0
    answered = sum(line.get("status") == 200 for line in lines)
    assert answered == outcomes["200"]  # no response is lost or duplicated
    assert [line["message"] for line in lines if line["message"] != "request"] == [
        "serving", "stopping", "model embedded unloaded", "stopped"
    ]  # fmt: skip


@posix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_loses_no_request(tmp_path: Path, image: bytes, number: signal.Signals) -> None:
    stop_under_load(tmp_path, image, number)


@posix_only
@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("time_", range(20))
def test_twenty_stops_under_load_lose_no_request(tmp_path: Path, image: bytes, time_: int) -> None:
    stop_under_load(tmp_path, image, signal.SIGINT if time_ % 4 == 3 else signal.SIGTERM)


@posix_only
def test_a_stopping_server_finishes_requests_and_refuses_connections(tmp_path: Path, image: bytes) -> None:
    with run_process(tmp_path, "--model", "embedded") as process:
        port = process.port()
        with connect(port) as slow, connect(port) as probe, connect(port) as other, connect(port) as idle:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(image))
            probe.sendall(b"GET /v2/health/ready HTTP/1.1\r\n")
            other.sendall(b"GET /health HTTP/1.1\r\n")
            assert ask(port, "/v2/health/ready")[0] == 200
            process.popen.send_signal(signal.SIGTERM)
            wait_until(lambda: is_refused(port))
            probe.sendall(b"Host: h\r\n\r\n")
            assert read_to_end(probe).startswith(b"HTTP/1.1 400 ")
            other.sendall(b"Host: h\r\n\r\n")
            answer = read_to_end(other)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nconnection: close" in answer
            assert read_to_end(idle) == b""
            slow.sendall(image)  # accepted requests are finished
            assert read_to_end(slow).startswith(b"HTTP/1.1 200 ")
        assert process.wait(20) == 0


def is_refused(port: int) -> bool:
    """Whether the port refuses connections."""
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


@posix_only
def test_an_unfinished_request_does_not_delay_the_stop_beyond_its_time_limit(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded", "--set", "shutdown_timeout_s=2") as process:
        with connect(process.port()) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
            time.sleep(0.2)
            process.popen.send_signal(signal.SIGTERM)
            assert process.wait(20) == 1  # a request was cut off
            assert read_answer(sock)[0] == 408
        assert process.lines()[-1]["message"] == "stopped"


def test_a_request_that_is_cut_off_gets_a_response(image: bytes) -> None:
    """Even if the client continues to send or never closes its side; no connection is left open."""
    with socket.socket() as sending, socket.socket() as holding:
        with run_server(models=("embedded",), shutdown_timeout_s=1) as live:
            for sock in (sending, holding):
                sock.connect(("127.0.0.1", live.port))
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + image[:9])
            wait_until(lambda: len(live.server.server_state.tasks) == 2)
            live.server.stop()
            wait_until(lambda: live.server.cut_off == 2)
            sending.sendall(b"x" * 4096)  # closing the socket now would discard the response
            assert read_answer(sending)[0] == 408
        assert read_answer(holding)[0] == 408
        assert not live.server.server_state.connections


@posix_only
def test_sighup_reloads_models_without_failed_requests(tmp_path: Path) -> None:
    """If the new model is invalid, the old one stays."""
    make_tiny_model(tmp_path / "model", labels=("red", "green", "blue"))
    image = make_image(tmp_path / "red.png").read_bytes()
    with run_process(tmp_path, "--model", "colours=model") as process:
        port = process.port()

        def label() -> str:
            status, body = ask(port, "/?top_k=1", method="POST", body=image)
            assert status == 200
            found: str = json.loads(body)[0]["label"]
            return found

        before = label()
        load = Load(port, image, kept=4, single=2)
        for number in range(3):
            names = (f"red {number}", f"green {number}", f"blue {number}")
            make_tiny_model(tmp_path / "model", labels=names)
            process.popen.send_signal(signal.SIGHUP)
            wait_until(lambda number=number: label() == f"{before} {number}")
        (tmp_path / "model" / "config.json").write_text("{")
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: any("could not be loaded" in line["message"] for line in process.lines()))
        assert label() == f"{before} 2"
        assert ask(port, "/v2/health/ready")[0] == 200
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert list(load.finish()) == ["200"]
        assert sum(line["message"] == "model colours reloaded" for line in process.lines()) == 3


@posix_only
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded") as process, connect(process.port()) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
        time.sleep(0.2)
        process.popen.send_signal(signal.SIGINT)
        wait_until(lambda: '"stopping"' in process.log.read_text())
        assert process.popen.poll() is None
        process.popen.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    (stopping,) = [line for line in process.lines() if line["message"] == "stopping"]
    assert stopping["requests"] == 1
    assert stopping["note"] == "a second signal ends the process at once"


@posix_only
def test_a_signal_while_models_are_loading_ends_the_process_at_once(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded") as process:
        wait_until(lambda: signal_is_caught(process))
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def signal_is_caught(process: Process) -> bool:
    """Whether the process has installed its handler for SIGTERM."""
    status = Path(f"/proc/{process.popen.pid}/status")
    if not status.exists():
        return True
    mask = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt")), "SigCgt 0")
    return bool(int(mask.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@posix_only
def test_a_port_that_is_taken_while_the_models_load_is_an_error() -> None:
    """Two sockets may be bound to an address until one of them listens."""
    settings = ServerSettings(models=("embedded",))
    app = make_app(make_services(settings))
    with bind("127.0.0.1", 0) as ours, bind(*ours.getsockname()) as theirs:
        theirs.listen()
        with pytest.raises(OptionError, match="Address already in use") as raised:
            asyncio.run(GracefulServer(app).serve([ours]))
    assert choose_status(raised.value, settings) == 75
    app.state.services.dispatcher.close()


def test_the_exit_status_says_whether_trying_again_may_help() -> None:
    settings = ServerSettings()
    cut_short = CorruptModel("x came shorter than stated")
    cut_short.__cause__ = OSError("Consistency check failed")
    assert choose_status(cut_short, settings) == 75
    assert choose_status(CorruptModel("x has not the bytes that were stated"), settings) == 2
    assert choose_status(ModelNotFound("x"), settings) == 2
    with pytest.raises(OptionError) as raised:
        bind("198.51.100.7", 0)
    assert choose_status(raised.value, settings) == 75  # the interface may come up later
    assert choose_status(ModelUnavailable("x"), ServerSettings(offline=True)) == 2
    assert choose_status(ZeroDivisionError(), settings) == 70


def test_an_unreachable_hub_is_a_temporary_error(tmp_path: Path) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}
    with run_process(tmp_path, "--model", "org/name", **hub) as process:
        assert process.wait() == 75
    (line,) = process.lines()
    assert "org/name" in line["message"]
    assert "onnx/model*.onnx." in line["message"]  # not cut off before the hint at the end


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_model_that_cannot_be_loaded_is_one_error_in_the_format_of_the_log(
    tmp_path: Path, form: str
) -> None:
    arguments = ["--model", "embedded", "--model", "a=./missing", "--log-format", form]
    with run_process(tmp_path, *arguments, *(["--debug"] if form == "json" else [])) as process:
        assert process.wait() == 2
    if form == "json":
        (line,) = (line for line in process.lines() if line["level"] == "error")
        assert "model a could not be loaded: The model './missing' doesn't exist" in line["message"]
        assert "ModelNotFound" in line["traceback"]  # because of --debug
    else:
        text = process.log.read_text()
        assert text.count("'./missing'") == 1
        assert "Traceback" not in text


def test_an_internal_error_at_the_start_is_logged_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import sys\nfrom pictag.server import app\nfrom pictag.cli import main\n"
        "app.make_app = lambda services: 1 / 0\n"
        "sys.exit(main(['serve', '--model', 'embedded', '--lazy', '--port', '0', '--log-format', 'json']))\n"
    )
    done = subprocess.run([sys.executable, "broken.py"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 70
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert "ZeroDivisionError" in line["message"]
    assert "broken.py" in line["traceback"]


def test_without_preload_a_model_is_loaded_at_its_first_request(image: bytes) -> None:
    with run_server(models=("embedded", "broken=./missing"), preload=False) as live:
        assert live.services.registry.describe("embedded").state == "unloaded"
        assert ask(live.port, "/", method="POST", body=image)[0] == 200
        assert live.services.registry.describe("embedded").state == "ready"
        status, body = ask(live.port, "/models/broken", method="POST", body=image)
        assert status == 500
        assert b"missing" not in body  # clients don't see the server's paths


def test_the_event_loop_answers_while_workers_are_busy(image: bytes) -> None:
    """50 responses arrive while images are processed all the time."""
    with run_server(models=("embedded",), log_requests=False, shutdown_timeout_s=20) as live:
        load = Load(live.port, image, kept=4, single=0)
        wait_until(lambda: load.outcomes["200"] > 10)
        assert [ask(live.port)[0] for _ in range(50)] == [200] * 50
        live.server.should_exit = True
        assert list(load.finish()) == ["200"]


def test_two_models_with_the_same_name_are_an_error() -> None:
    with pytest.raises(OptionError, match="same name"):
        make_services(ServerSettings(models=("a=embedded", "a=other")))


def test_settings_take_effect(image: bytes) -> None:
    with run_server(models=("tiny=embedded",), max_body_bytes=100, default_top_k=2, api_key="sesame") as live:
        assert ask(live.port, "/", method="POST", body=image)[0] == 401
        assert ask(live.port, "/", method="POST", body=image, X_Api_Key="sesame")[0] == 413
        assert ask(live.port, "/v2/models/tiny/ready")[0] == 200
        assert ask(live.port)[0] == 200
        assert ask(live.port, "/metrics")[0] == 401
        with contextlib.suppress(AttributeError):
            assert live.services.settings.api_key.get_secret_value() == "sesame"  # type: ignore[union-attr]

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
from pictag.errors import CorruptModel, ModelNotFound, OptionError
from pictag.server.serving import GracefulServer, choose_status, make_services
from pictag.server.settings import ServerSettings
from pictag.server.sockets import bind
from tinymodel import make_image, make_tiny_model

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("p") / "p.png", size=(300, 200)).read_bytes()


class Load:
    """Clients that ask without pause until the door is closed; each outcome is counted."""

    def __init__(self, port: int, image: bytes, *, kept: int, single: int) -> None:
        self.port, self.image = port, image
        self.outcomes: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._ask_on) for _ in range(kept)]
        self.threads += [threading.Thread(target=self._ask_anew) for _ in range(single)]
        for thread in self.threads:
            thread.start()

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """One request on an open connection; whether another may follow on it."""
        try:
            connection.request("POST", "/", body=self.image)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.outcomes[f"lost: {error!r}"] += 1
            return False
        self.outcomes[f"{answer.status}" + ("" if body.startswith(b"[{") else body.decode())] += 1
        return not answer.will_close

    def _ask_on(self) -> None:
        """Requests on one connection after the other; the server says when it takes no more on one."""
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect()
            except OSError:
                return
            while self._ask(connection):
                pass
            connection.close()

    def _ask_anew(self) -> None:
        """A new connection for each request."""
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
        begun = time.monotonic()
        process.popen.send_signal(number)
        status = process.wait(25)
        took_s = time.monotonic() - begun
        outcomes = load.finish()
        lines = process.lines()
    assert list(outcomes) == ["200"], outcomes
    assert status == 0
    assert took_s < 20
    answered = sum(line.get("status") == 200 for line in lines)
    assert answered == outcomes["200"]  # each that was answered was asked for, and none was answered twice
    assert [line["message"] for line in lines if line["message"] != "request"] == [
        "serving", "stopping", "model embedded is unloaded", "stopped"
    ]  # fmt: skip


@posix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGTERM])  # noqa: PT014 - thrice
def test_a_stop_under_load_loses_no_request(tmp_path: Path, image: bytes, number: signal.Signals) -> None:
    stop_under_load(tmp_path, image, number)


@posix_only
@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("time_", range(20))
def test_twenty_stops_under_load_lose_no_request(tmp_path: Path, image: bytes, time_: int) -> None:
    stop_under_load(tmp_path, image, signal.SIGINT if time_ % 4 == 3 else signal.SIGTERM)


@posix_only
def test_a_server_that_stops_says_so_and_closes_its_door(tmp_path: Path, image: bytes) -> None:
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
            slow.sendall(image)  # it was accepted, and so it is finished
            assert read_to_end(slow).startswith(b"HTTP/1.1 200 ")
        assert process.wait(20) == 0


def is_refused(port: int) -> bool:
    """Whether nobody listens there. (A connection that is made all the same is closed unused.)"""
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


@posix_only
def test_a_client_that_never_finishes_does_not_keep_the_server(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded", "--set", "shutdown_timeout_s=3") as process:
        with connect(process.port()) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
            time.sleep(0.2)
            process.popen.send_signal(signal.SIGTERM)
            assert process.wait(20) == 1  # somebody was cut off
            assert read_answer(sock)[0] == 408
        assert process.lines()[-1]["message"] == "stopped"


def test_who_is_cut_off_has_its_answer_before_the_connection_is_let_go(image: bytes) -> None:
    """One goes on sending, one never closes its own end: neither is left open behind the loop."""
    with socket.socket() as sending, socket.socket() as holding:
        with run_server(models=("embedded",), shutdown_timeout_s=1) as live:
            for sock in (sending, holding):
                sock.connect(("127.0.0.1", live.port))
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + image[:9])
            wait_until(lambda: len(live.server.server_state.tasks) == 2)
            live.server.stop()
            wait_until(lambda: live.server.cut_off == 2)
            sending.sendall(b"x" * 4096)  # the system would take the answer back, were the socket closed now
            assert read_answer(sending)[0] == 408
        assert read_answer(holding)[0] == 408
        assert not live.server.server_state.connections


@posix_only
def test_sighup_has_a_changed_model_replaced_and_no_request_fails(tmp_path: Path) -> None:
    """And a model that is broken meanwhile leaves the old one where it is."""
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
        wait_until(lambda: any("was not loaded" in line["message"] for line in process.lines()))
        assert label() == f"{before} 2"
        assert ask(port, "/v2/health/ready")[0] == 200
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert list(load.finish()) == ["200"]
        assert sum(line["message"] == "model colours is replaced" for line in process.lines()) == 3


@posix_only
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded") as process, connect(process.port()) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
        time.sleep(0.2)
        process.popen.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.popen.poll() is None
        process.popen.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    (stopping,) = [line for line in process.lines() if line["message"] == "stopping"]
    assert stopping["requests"] == 1
    assert stopping["note"] == "a second signal ends it at once"


@posix_only
def test_a_signal_while_models_are_loading_ends_at_once(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded") as process:
        wait_until(lambda: signal_is_caught(process))
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def signal_is_caught(process: Process) -> bool:
    """Whether the process has got as far as handling SIGTERM itself."""
    status = Path(f"/proc/{process.popen.pid}/status")
    if not status.exists():
        return True
    mask = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt")), "SigCgt 0")
    return bool(int(mask.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with run_process(tmp_path, "--model", "embedded", "--port", port) as process:
            assert process.wait() == 75  # it may be free the next time
        (line,) = process.lines()
        assert f"port {port} is taken by another program" in line["message"]
        assert line["level"] == "error"
        assert "Traceback" not in process.log.read_text()


@posix_only
def test_a_port_that_is_taken_while_the_models_load_is_said_too() -> None:
    """Two sockets may share an address until one of them listens."""
    settings = ServerSettings(models=("embedded",))
    services = make_services(settings)
    with bind("127.0.0.1", 0) as ours, bind(*ours.getsockname()) as theirs:
        theirs.listen()
        with pytest.raises(OptionError, match="is taken by another program") as raised:
            asyncio.run(GracefulServer(services).serve([ours]))
    assert choose_status(raised.value, settings) == 75
    services.dispatcher.close()


def test_only_what_may_pass_is_worth_another_try() -> None:
    settings = ServerSettings()
    cut_short = CorruptModel("x came shorter than stated")
    cut_short.__cause__ = OSError("Consistency check failed")
    assert choose_status(cut_short, settings) == 75
    assert choose_status(CorruptModel("x has not the bytes that were stated"), settings) == 2
    assert choose_status(ModelNotFound("x"), settings) == 2
    with pytest.raises(OptionError) as raised:
        bind("198.51.100.7", 0)
    assert choose_status(raised.value, settings) == 75  # an interface may come up yet
    assert choose_status(ZeroDivisionError(), settings) == 70


def test_a_hub_that_does_not_answer_may_do_so_the_next_time(tmp_path: Path) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}
    with run_process(tmp_path, "--model", "org/name", **hub) as process:
        assert process.wait() == 75
    (line,) = process.lines()
    assert "org/name cannot be had now" in line["message"]
    assert line["message"].endswith("onnx/model*.onnx.")  # to its end, where it says what helps
    for offline in ({"HF_HUB_OFFLINE": "1"}, {"PICTAG_SERVER_OFFLINE": "1"}):
        with run_process(tmp_path, "--model", "org/name", **hub | offline) as process:
            assert process.wait() == 2  # nobody will ask the Hub the next time either
        (line,) = process.lines()
        assert line["message"].endswith("model='embedded' works without a network.")


def test_what_keeps_a_server_from_starting_is_said_once_and_in_the_logs_form(tmp_path: Path) -> None:
    for model, said in (("./missing", "no folder or .onnx file './missing'"), ("a=./missing", "model a was")):
        with run_process(tmp_path, "--model", model, "--debug") as process:
            assert process.wait() == 2
        (line,) = process.lines()
        assert said in line["message"]
        assert "ModelNotFound" in line["traceback"]  # it was asked for
        with run_process(tmp_path, "--model", model, "--log-format", "text") as process:
            assert process.wait() == 2
        (text,) = process.log.read_text().splitlines()
        assert said in text
        assert text.count("'./missing'") == 1


def test_a_defect_at_the_start_is_a_line_of_the_log_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import sys\nfrom pictag.server import serving\nfrom pictag.cli import main\n"
        "serving.make_app = lambda services: 1 / 0\n"
        "sys.exit(main(['serve', '--model', 'embedded', '--lazy', '--port', '0', '--log-format', 'json']))\n"
    )
    done = subprocess.run([sys.executable, "broken.py"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 70
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert "ZeroDivisionError" in line["message"]
    assert "broken.py" in line["traceback"]


def test_a_model_that_cannot_be_loaded_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with run_process(tmp_path, "--model", "embedded", "--model", "./missing") as process:
        assert process.wait() == 2
    text = process.log.read_text()
    assert "missing" in text
    assert "Traceback" not in text
    assert '"serving"' not in text


def test_with_lazy_a_model_is_loaded_at_its_first_request(image: bytes) -> None:
    with run_server(models=("embedded", "broken=./missing"), preload=False) as live:
        assert live.services.registry.describe("embedded").state == "unloaded"
        assert ask(live.port, "/", method="POST", body=image)[0] == 200
        assert live.services.registry.describe("embedded").state == "ready"
        status, body = ask(live.port, "/models/broken", method="POST", body=image)
        assert status == 500
        assert b"missing" not in body  # what is where on the server is said to its keeper alone


def test_the_event_loop_answers_while_workers_are_busy(image: bytes) -> None:
    """Its waits are counted, not timed: 50 answers came while images were worked on all the time."""
    with run_server(models=("embedded",), log_requests=False) as live:
        load = Load(live.port, image, kept=4, single=0)
        wait_until(lambda: load.outcomes["200"] > 10)
        assert [ask(live.port)[0] for _ in range(50)] == [200] * 50
        live.server.should_exit = True
        assert list(load.finish()) == ["200"]


def test_two_models_of_one_name_are_an_error() -> None:
    with pytest.raises(OptionError, match="same name"):
        make_services(ServerSettings(models=("a=embedded", "a=other")))


def test_settings_reach_the_rooms_behind(image: bytes) -> None:
    with run_server(models=("tiny=embedded",), max_body_bytes=100, default_top_k=2, api_key="sesame") as live:
        assert ask(live.port, "/", method="POST", body=image)[0] == 401
        assert ask(live.port, "/", method="POST", body=image, X_Api_Key="sesame")[0] == 413
        assert ask(live.port, "/v2/models/tiny/ready")[0] == 200
        assert ask(live.port)[0] == 200
        assert ask(live.port, "/metrics")[0] == 401
        with contextlib.suppress(AttributeError):
            assert live.services.settings.api_key.get_secret_value() == "sesame"  # type: ignore[union-attr]

"""/openapi.json matches the server, and no request that it allows makes the server fail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asking import LiveServer, ask, serve
from pictag.server.app import TABLE
from pictag.server.protocols.information import read_openapi
from tinymodel import make_tiny_model

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 8  # per operation


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    with serve({"0": folder, "a/b": folder}, log_requests=False) as server:
        yield server


@pytest.fixture(scope="module")
def description(server: LiveServer) -> schemathesis.BaseSchema:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    schema.config.base_url = server.url
    return schema


def test_the_server_returns_it(server: LiveServer) -> None:
    assert json.loads(ask(server, "GET", "/openapi.json").body) == read_openapi()


def test_it_lists_exactly_the_paths_of_the_server() -> None:
    described = {
        (path, method.upper())
        for path, item in read_openapi()["paths"].items()
        for method in item
        if method != "head"
    }
    served = {(re.sub(r":path}", "}", path), method) for path, methods, _, _ in TABLE for method in methods}
    assert (
        described - {("/predictions/{model}/{version}", "POST"), ("/predictions/{model}/{version}", "PUT")}
        == served
    )


def test_every_get_has_a_head_without_a_body(server: LiveServer) -> None:
    for path, item in read_openapi()["paths"].items():
        assert ("head" in item) == ("get" in item), path
        if "head" in item:
            assert all("content" not in reply for reply in item["head"]["responses"].values())
            asked = path.replace("{model}", "0").replace("{version}", "1")
            answers = [ask(server, method, asked) for method in ("GET", "HEAD")]
            assert answers[0].status == answers[1].status == 200, path
            assert answers[1].body == b""


def test_it_lists_the_errors_that_any_request_may_get() -> None:
    for path, item in read_openapi()["paths"].items():
        for operation in item.values():
            assert {"400", "408", "429", "431"} <= set(operation["responses"]), path
            # A model's name may end like another path, which takes other methods.
            assert ("405" in operation["responses"]) == ("{model}" in path), path


def test_optional_bodies_are_not_required() -> None:
    paths = read_openapi()["paths"]
    assert paths["/v2/repository/index"]["post"]["requestBody"]["required"] is False
    assert paths["/"]["post"]["requestBody"]["required"] is True


def test_the_root_path_returns_json_or_the_page(server: LiveServer) -> None:
    content = read_openapi()["paths"]["/"]["get"]["responses"]["200"]["content"]
    for accept in ("application/json", "text/html"):
        answer = ask(server, "GET", "/", headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == accept
        assert accept in content


def test_every_schema_is_defined_and_used() -> None:
    text = json.dumps(read_openapi())
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named == set(read_openapi()["components"]["schemas"])


def test_it_says_which_paths_work_without_the_key() -> None:
    operations = {
        (path, method.upper()): operation
        for path, item in read_openapi()["paths"].items()
        for method, operation in item.items()
    }
    for path, methods, _, is_open in TABLE:
        for method in methods:
            operation = operations[path.replace(":path}", "}"), method]
            assert (operation.get("security") == []) == is_open, path
            assert ("401" in operation["responses"]) != is_open, path


def test_no_request_that_it_allows_makes_the_server_fail(description: schemathesis.BaseSchema) -> None:
    """Schemathesis against the real server: no 5xx, and every response as described."""
    count = 0
    for found in description.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def probe(case: schemathesis.Case[Any]) -> None:
            nonlocal count
            count += 1
            if (
                count % 3 and "model" in case.path_parameters
            ):  # otherwise most requests would name an unknown model
                case.path_parameters["model"] = ("0", "a/b")[count % 2]
                if "version" in case.path_parameters and count % 5:
                    case.path_parameters["version"] = "1"
            case.headers.pop("X-Request-Timeout-Ms", None)  # 1 ms would give 504
            case.call_and_validate(checks=CHECKS, timeout=30)

        probe()
    assert count > 100

"""The description at /openapi.json tells the truth, and nothing that it allows makes the server fail."""

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
from pictag.server.openapi import describe_interface
from tinymodel import make_tiny_model

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 15  # of each operation


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


def test_it_is_what_the_server_gives(server: LiveServer) -> None:
    assert json.loads(ask(server, "GET", "/openapi.json").body) == describe_interface()


def test_it_names_every_address_and_no_other() -> None:
    described = {
        (path, method.upper())
        for path, item in describe_interface()["paths"].items()
        for method in item
        if method != "head"
    }
    served = {(re.sub(r":path}", "}", path), method) for path, methods, _, _ in TABLE for method in methods}
    assert (
        described - {("/predictions/{model}/{version}", "POST"), ("/predictions/{model}/{version}", "PUT")}
        == served
    )


def test_whatever_takes_get_takes_head_and_answers_without_a_body(server: LiveServer) -> None:
    for path, item in describe_interface()["paths"].items():
        assert ("head" in item) == ("get" in item), path
        if "head" in item:
            assert all("content" not in reply for reply in item["head"]["responses"].values())
            asked = path.replace("{model}", "0").replace("{version}", "1")
            answers = [ask(server, method, asked) for method in ("GET", "HEAD")]
            assert answers[0].status == answers[1].status == 200, path
            assert answers[1].body == b""


def test_it_names_what_may_come_of_any_request() -> None:
    for path, item in describe_interface()["paths"].items():
        for operation in item.values():
            assert {"400", "408", "429", "431"} <= set(operation["responses"]), path
            # A model's name may end like another address, which takes another method.
            assert ("405" in operation["responses"]) == ("{model}" in path), path


def test_what_may_be_left_out_is_not_required() -> None:
    paths = describe_interface()["paths"]
    assert paths["/v2/repository/index"]["post"]["requestBody"]["required"] is False
    assert paths["/"]["post"]["requestBody"]["required"] is True


def test_the_page_is_one_of_the_forms_of_the_first_address(server: LiveServer) -> None:
    content = describe_interface()["paths"]["/"]["get"]["responses"]["200"]["content"]
    for accept in ("application/json", "text/html"):
        answer = ask(server, "GET", "/", headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == accept
        assert accept in content


def test_every_reference_in_it_leads_somewhere_and_every_shape_is_used() -> None:
    text = json.dumps(describe_interface())
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named == set(describe_interface()["components"]["schemas"])


def test_it_says_which_addresses_need_no_key() -> None:
    operations = {
        (path, method.upper()): operation
        for path, item in describe_interface()["paths"].items()
        for method, operation in item.items()
    }
    for path, methods, _, is_open in TABLE:
        for method in methods:
            operation = operations[path.replace(":path}", "}"), method]
            assert (operation.get("security") == []) == is_open, path
            assert ("401" in operation["responses"]) != is_open, path


def test_nothing_that_it_allows_makes_the_server_fail(description: schemathesis.BaseSchema) -> None:
    """Schemathesis' cases against the real server: no 5xx, and every answer as described."""
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
            if count % 3 and "model" in case.path_parameters:  # otherwise most would end at an unknown name
                case.path_parameters["model"] = ("0", "a/b")[count % 2]
                if "version" in case.path_parameters and count % 5:
                    case.path_parameters["version"] = "1"
            case.headers.pop("X-Request-Timeout-Ms", None)  # 1 ms is a true 504
            case.call_and_validate(checks=CHECKS, timeout=30)

        probe()
    assert count > 100

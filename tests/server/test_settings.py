"""The validation of each setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pictag.errors import OptionError
from pictag.server.configuration import read_configuration
from pictag.server.settings import ServerSettings


def read(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> ServerSettings:
    return read_configuration(given, environ or {}).settings


@pytest.mark.parametrize("text", ["true", "1", "yes", "on"])
def test_booleans_may_be_written_in_several_ways(text: str) -> None:
    assert read({}, {"PICTAG_SERVER_ALLOW_URLS": text}).allow_urls is True


@pytest.mark.parametrize("proxies", [["127.0.0.1", "::1"], ["10.0.0.0/8", "fd00::/8"], ["*"], []])
def test_proxies_may_be_addresses_networks_or_all(proxies: list[str]) -> None:
    assert read({"trusted_proxies": proxies}).trusted_proxies == tuple(proxies)


def test_an_invalid_proxy_is_an_error_that_names_it() -> None:
    with pytest.raises(OptionError, match=r"'proxy\.example' is not a valid address or network"):
        read({"trusted_proxies": ["127.0.0.1", "proxy.example"]})
    with pytest.raises(OptionError, match=r"'10\.0\.0\.1/8' is not a valid address or network"):
        read({"trusted_proxies": ["10.0.0.1/8"]})


def test_contradicting_time_limits_are_an_error_that_shows_both() -> None:
    said = r"request_timeout_s=500 is above max_request_timeout_s=300; .*"
    with pytest.raises(OptionError, match=said):
        read({"request_timeout_s": 500})
    with pytest.raises(OptionError, match=r"request_timeout_s=300\.0001 is above max_request_timeout_s=300;"):
        read({"request_timeout_s": 300.0001})


def test_a_list_in_brackets_must_be_json() -> None:
    with pytest.raises(OptionError, match=r'JSON, such as \["a", "b"\]') as raised:
        read({}, {"PICTAG_SERVER_MODELS": '["embedded"'})
    assert "delimiter" not in str(raised.value)

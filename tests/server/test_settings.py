"""What each setting takes, as people give them."""

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
def test_booleans_are_read_as_people_write_them(text: str) -> None:
    assert read({}, {"PICTAG_SERVER_ALLOW_URLS": text}).allow_urls is True


@pytest.mark.parametrize("proxies", [["127.0.0.1", "::1"], ["10.0.0.0/8", "fd00::/8"], ["*"], []])
def test_proxies_are_addresses_networks_or_all(proxies: list[str]) -> None:
    assert read({"trusted_proxies": proxies}).trusted_proxies == tuple(proxies)


def test_a_proxy_that_is_no_address_is_named() -> None:
    with pytest.raises(OptionError, match=r"'proxy\.example' is not a valid address"):
        read({"trusted_proxies": ["127.0.0.1", "proxy.example"]})
    with pytest.raises(OptionError, match=r"'10\.0\.0\.1/8' is not a valid network"):
        read({"trusted_proxies": ["10.0.0.1/8"]})


def test_two_times_that_contradict_each_other_are_both_shown() -> None:
    said = r"request_timeout_s=500 is above max_request_timeout_s=300; .*"
    with pytest.raises(OptionError, match=said):
        read({"request_timeout_s": 500})
    with pytest.raises(OptionError, match=r"request_timeout_s=300\.0001 is above max_request_timeout_s=300;"):
        read({"request_timeout_s": 300.0001})


def test_a_list_that_is_no_json_is_said_in_our_words() -> None:
    with pytest.raises(OptionError, match=r'JSON, such as \["a", "b"\]') as raised:
        read({}, {"PICTAG_SERVER_MODELS": '["embedded"'})
    assert "delimiter" not in str(raised.value)

"""What can be set about the server, and what each setting takes."""

from __future__ import annotations

import ipaddress
import json
import math
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from pictag.errors import shorten
from pictag.models.reference import DEFAULT_MODEL
from pictag.models.weights import DTYPES
from pictag.server.scoring import MAX_TOP_K

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Words = Annotated[tuple[str, ...], NoDecode]


class ServerSettings(BaseSettings):
    """Everything that can be set; ``pictag serve --show-config`` prints it."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(
        default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for all of IPv4"
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    models: Words = Field(default=(DEFAULT_MODEL,), description="models, the default one first: M, or NAME=M")
    engine: Literal["auto", "onnxruntime", "openvino"] = Field(
        default="auto", description="what runs the models"
    )
    dtype: str = Field(default="auto", description=f"which weights: {', '.join(DTYPES)}")
    device: str = Field(default="cpu", min_length=1, description="where the models run: cpu, cuda, tensorrt")
    decode: Literal["exact", "fast"] = Field(
        default="exact", description="fast: large JPEGs are scaled while decoded"
    )
    threads: Count | None = Field(
        default=None, le=1024, description="images worked on at a time; empty: one more than cores"
    )
    offline: bool = Field(default=False, description="never ask the network for a model")
    preload: bool = Field(default=True, description="load all models before the first request")
    memory_budget_mb: Count | None = Field(default=None, description="idle models are unloaded above this")
    idle_s: Seconds | None = Field(default=None, description="unload a model that was not asked for so long")

    max_body_bytes: Count = Field(default=32 * 2**20, description="largest body, also when decompressed")
    max_pixels: Count = Field(default=50_000_000, description="largest image")
    max_queue: Count = Field(default=256, description="images that may wait")
    max_queued_bytes: Count = Field(default=256 * 2**20, description="bytes of images that may wait")
    max_queued_pixels: Count = Field(default=1_000_000_000, description="pixels of images that may wait")
    max_batch: Count = Field(default=8, le=1024, description="most images in one run of a model")
    request_timeout_s: Seconds = Field(
        default=30.0, description="answer within, where the client does not say"
    )
    max_request_timeout_s: Seconds = Field(default=300.0, description="the longest that a client may ask for")

    max_connections: Count = Field(
        default=1000, description="connections at a time; more are told 429 and closed"
    )
    silent_timeout_s: Seconds = Field(default=10.0, description="close a new connection that sends nothing")
    header_timeout_s: Seconds = Field(default=10.0, description="a request's headers must be complete within")
    body_timeout_s: Seconds = Field(default=30.0, description="a request's body must be complete within")
    keep_alive_s: Seconds = Field(default=30.0, description="close a connection that was idle so long")
    max_header_bytes: int = Field(default=16 * 2**10, ge=1024, description="largest request line and headers")
    max_headers: Count = Field(default=100, description="most headers of a request")
    shutdown_timeout_s: Seconds = Field(
        default=20.0, description="what is accepted is finished within, when stopped"
    )

    api_key: SecretStr | None = Field(default=None, description="requests need this key")
    allow_urls: bool = Field(default=False, description="read images from URLs in requests")
    allow_private_urls: bool = Field(
        default=False, description="also from private addresses; with allow_urls"
    )
    trusted_proxies: Words = Field(
        default=(), description="addresses whose X-Forwarded-For is believed, for the log"
    )
    default_top_k: Count = Field(default=5, le=MAX_TOP_K, description="labels, where the client does not say")
    page: bool = Field(default=True, description="a page for browsers at /")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, or JSON"
    )
    log_requests: bool = Field(default=True, description="a line for each request")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, and nothing else: `read_configuration` has the environment, and knows its origin."""
        return (init_settings,)

    @field_validator("threads", "memory_budget_mb", "idle_s", mode="before")
    @classmethod
    def _take_empty(cls, value: object) -> object:
        """An empty value is the default, which is empty too."""
        return None if value == "" else value

    @field_validator("models", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Environment variables hold lists as JSON, or separated by commas."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError(
                    'a list in brackets is JSON, as in ["a", "b"]; or leave out brackets and quotes: a,b'
                ) from None
        return [word.strip() for word in value.split(",") if word.strip()]

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """uvicorn takes what is no address for a name that no client ever has."""
        for text in () if value == ("*",) else value:
            kind, parse = (
                ("network", ipaddress.ip_network) if "/" in text else ("address", ipaddress.ip_address)
            )
            try:
                parse(text)
            except ValueError:
                raise ValueError(
                    f"{shorten(repr(text), 80)} is no {kind}; give addresses, networks such as 10.0.0.0/8, "
                    "or * alone for all"
                ) from None
        return value

    @field_validator("dtype")
    @classmethod
    def _check_dtype(cls, value: str) -> str:
        if value not in DTYPES:
            raise ValueError(f"there are: {', '.join(DTYPES)}")
        return value

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        """What no header could carry would lock everybody out."""
        text = value.get_secret_value() if value is not None else "key"
        if not (text.isascii() and text.isprintable() and text.strip() == text and text):
            raise ValueError("a key is printable ASCII, without white space around it")
        if not text.strip("*"):
            raise ValueError("asterisks stand for a key in what --show-config prints; give the key, or none")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.models:
            raise ValueError("models: at least one is needed")
        if self.request_timeout_s > self.max_request_timeout_s:
            raise ValueError(
                f"request_timeout_s={write_value(self.request_timeout_s)} is above max_request_timeout_s="
                f"{write_value(self.max_request_timeout_s)}; lower the first or raise the second"
            )
        return self


def write_value(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, SecretStr):
        return '"****"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and math.floor(value) == value else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(write_value(item) for item in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")

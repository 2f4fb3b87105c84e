"""The server's settings and their validation."""

from __future__ import annotations

import ipaddress
import json
import math
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pictag.engines.registry import ENGINE_NAMES
from pictag.errors import shorten
from pictag.models.reference import DEFAULT_MODEL
from pictag.models.weights import DTYPES
from pictag.options import Decode

MAX_IMAGES = 128  # per request
MAX_TOP_K = 1_000_000  # more than any model has; a top_k above the model's number of labels returns all
PIPELINE_OPTIONS = ("engine", "dtype", "device", "decode", "threads", "max_pixels")
"""Settings that are options of every model's pipeline."""
_CHOICES = {"engine": ("auto", *ENGINE_NAMES), "dtype": DTYPES}

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class ServerSettings(BaseModel):
    """All settings; ``pictag serve --show-config`` prints them."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(
        default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for all IPv4 addresses"
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="port to listen on; 0 chooses a free one")
    models: tuple[str, ...] = Field(
        default=(DEFAULT_MODEL,), description="models as MODEL or NAME=MODEL; POST / uses the first"
    )
    engine: str = Field(
        default="auto", description=f"the library that runs the models: auto, {', '.join(ENGINE_NAMES)}"
    )
    dtype: str = Field(default="auto", description=f"which weights: {', '.join(DTYPES)}")
    device: str = Field(default="cpu", min_length=1, description="where the models run: cpu, cuda, tensorrt")
    decode: Decode = Field(default="exact", description="fast: large JPEGs are scaled down while decoding")
    threads: Count | None = Field(
        default=None, le=1024, description="images processed at a time; empty: the number of cores plus one"
    )
    offline: bool = Field(default=False, description="never download a model")
    preload: bool = Field(default=True, description="load all models at startup")
    memory_budget_mb: Count | None = Field(
        default=None,
        description="unload idle models when the loaded models' weights take more than this many MB",
    )
    idle_s: Seconds | None = Field(
        default=None, description="unload a model that hasn't been used for this long"
    )

    max_body_bytes: Count = Field(
        default=32 * 2**20,
        description="maximum size in bytes of a request body, before and after decompression",
    )
    max_pixels: Count = Field(default=50_000_000, description="maximum number of pixels per image")
    max_queue: Count = Field(
        default=256, description="maximum number of images that are waiting or being processed"
    )
    max_queued_bytes: Count = Field(
        default=256 * 2**20,
        description="maximum total size in bytes of the images that are waiting or being processed; the same "
        "limit applies to the bodies in memory",
    )
    max_queued_pixels: Count = Field(
        default=1_000_000_000,
        description="maximum total number of pixels of the images that are waiting or being processed",
    )
    max_batch: Count = Field(default=8, le=1024, description="maximum number of images per run of a model")
    request_timeout_s: Seconds = Field(
        default=30.0, description="time limit of a request that doesn't set one"
    )
    max_request_timeout_s: Seconds = Field(
        default=300.0, description="maximum time limit that a request may set"
    )

    max_connections: Count = Field(
        default=1000, description="maximum number of simultaneous connections; others get 429"
    )
    silent_timeout_s: Seconds = Field(
        default=10.0, description="close a new connection that sends nothing for this long"
    )
    header_timeout_s: Seconds = Field(default=10.0, description="time limit for a request's headers")
    body_timeout_s: Seconds = Field(default=30.0, description="time limit for a request's body")
    keep_alive_s: Seconds = Field(
        default=30.0, description="close a connection that has been idle for this long"
    )
    max_header_bytes: int = Field(
        default=16 * 2**10,
        ge=1024,
        description="maximum total size in bytes of the request line and the headers",
    )
    max_headers: Count = Field(default=100, description="maximum number of headers per request")
    shutdown_timeout_s: Seconds = Field(
        default=20.0, description="time limit for finishing accepted requests when stopped"
    )

    api_key: SecretStr | None = Field(default=None, description="key that requests must send")
    allow_urls: bool = Field(default=False, description="fetch images from URLs in requests")
    allow_private_urls: bool = Field(
        default=False, description="with allow_urls: also fetch from private addresses"
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="proxies whose X-Forwarded-For is used in the log"
    )
    default_top_k: Count = Field(
        default=5, le=MAX_TOP_K, description="labels per image if the request doesn't set top_k"
    )
    page: bool = Field(default=True, description="serve a web page at /")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, otherwise JSON"
    )
    log_requests: bool = Field(default=True, description="log a line per request")

    @field_validator("threads", "memory_budget_mb", "idle_s", mode="before")
    @classmethod
    def _take_empty(cls, value: object) -> object:
        """An empty value means the default, which is ``None``."""
        return None if value == "" else value

    @field_validator("models", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Read a list from an environment variable: JSON, or separated by commas."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError(
                    'a list in brackets must be JSON, such as ["a", "b"]; or omit brackets and quotes: a,b'
                ) from None
        return [word.strip() for word in value.split(",") if word.strip()]

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """uvicorn would accept an invalid address, which then never matches a client."""
        for text in () if value == ("*",) else value:
            try:
                ipaddress.ip_network(text)
            except ValueError:
                raise ValueError(
                    f"{shorten(repr(text), 80)} is not a valid address or network; use addresses, networks "
                    "such as 10.0.0.0/8, or a single * for all"
                ) from None
        return value

    @field_validator(*_CHOICES)
    @classmethod
    def _check_choice(cls, value: str, field: ValidationInfo) -> str:
        choices = _CHOICES[field.field_name or ""]
        if value not in choices:
            raise ValueError(f"use one of: {', '.join(choices)}")
        return value

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        """A key that no header can contain would lock out every client."""
        text = value.get_secret_value() if value is not None else "key"
        if not (text.isascii() and text.isprintable() and text.strip() == text and text):
            raise ValueError("a key must be printable ASCII without white space around it")
        if not text.strip("*"):
            raise ValueError("--show-config prints asterisks instead of a key; set the key itself, or none")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.models:
            raise ValueError("models: at least one is required")
        if self.request_timeout_s > self.max_request_timeout_s:
            raise ValueError(
                f"request_timeout_s={write_value(self.request_timeout_s)} is above max_request_timeout_s="
                f"{write_value(self.max_request_timeout_s)}; lower the first or raise the second"
            )
        return self


def write_value(value: object) -> str:
    """A value as TOML."""
    if isinstance(value, SecretStr):
        return '"****"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and math.floor(value) == value else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(write_value(item) for item in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")

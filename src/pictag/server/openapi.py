"""The description of the interface at /openapi.json."""

from __future__ import annotations

from typing import Any


def describe_interface() -> dict[str, Any]:
    """The interface in the words of OpenAPI 3.1."""
    return {"openapi": "3.1.0", "info": {"title": "pictag", "version": "1"}, "paths": {}}

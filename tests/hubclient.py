"""Clients of the test Hub, each in its own process: huggingface_hub reads its settings when imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubserver import HubServer
from tinymodel import make_graph, make_tiny_model

NAME = "org/colours"
# Environment variables that would change a client's Hub, cache or account.
_PRIVATE = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "XDG_CACHE")


def make_files(folder: Path, *, sharpness: float = 2.0) -> dict[str, bytes]:
    """A model's files by path: float and quantized weights, JSON files and a README."""
    make_tiny_model(folder, sharpness=sharpness)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    files["onnx/model_quantized.onnx"] = make_graph(sharpness=sharpness + 1).SerializeToString()
    files["README.md"] = b"---\nlicense: mit\n---\n# Colours\n"
    return files


@dataclass(frozen=True, kw_only=True)
class Home:
    """A home folder with its own cache, and the Hub that it uses."""

    hub: HubServer
    cache: Path

    @property
    def repository(self) -> Path:
        return self.cache / "hub" / f"models--{NAME.replace('/', '--')}"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_PRIVATE)}
        settings = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.cache), "NO_PROXY": "127.0.0.1"}
        return kept | settings | dict(extra or {})

    def start(self, *, env: Mapping[str, str] | None = None, **arguments: Any) -> subprocess.Popen[str]:
        arguments.setdefault("model", NAME)
        return subprocess.Popen(
            [sys.executable, __file__, json.dumps(arguments)],
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def load(self, *, env: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
        """Load the model, and return the result and ``stderr``."""
        return finish(self.start(env=env, **arguments))

    def blobs(self) -> list[Path]:
        folder = self.repository / "blobs"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a client and read what it printed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)
    return result | {"stderr": err}


def main() -> None:
    """Load one model with the options in a JSON object, and print the result as another."""
    from pictag.errors import PictagError
    from pictag.models.load import LoadOptions, load_model
    from pictag.models.reference import parse_reference
    from pictag.options import DownloadProgress

    arguments = json.loads(sys.argv[1])
    if arguments.get("cache_dir"):
        arguments["cache_dir"] = Path(arguments["cache_dir"])
    progress: list[DownloadProgress] = []
    is_failing = arguments.pop("fail_in_progress", False)

    def report(news: DownloadProgress) -> None:
        if is_failing:
            raise ValueError("the caller's error")
        progress.append(news)

    try:
        model = load_model(
            parse_reference(arguments.pop("model"), revision=arguments.pop("revision", None)),
            LoadOptions(**arguments),
            report,
        )
    except (PictagError, ValueError) as error:
        result: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    else:
        result = {
            "weights": str(model.weights),
            "labels": model.labels,
            "revision": model.card.revision,
            "why": model.card.why,
            "dtype": model.card.dtype,
            "licence": model.card.licence,
            "sha256": model.card.sha256,
            "files": [file.path for file in model.card.files],
            "notes": model.card.notes,
            "progress": [[p.file, p.received, p.total] for p in progress],
        }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()

"""A client of the Hub in a process of its own: ``huggingface_hub`` reads its settings when it is imported.

Called with a JSON object of `load_model`'s arguments; prints a JSON object of what came of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pictag.errors import PictagError
from pictag.models.load import DownloadProgress, LoadOptions, load_model
from pictag.models.reference import parse_reference


def main() -> None:
    arguments = json.loads(sys.argv[1])
    if arguments.get("cache_dir"):
        arguments["cache_dir"] = Path(arguments["cache_dir"])
    progress: list[DownloadProgress] = []
    try:
        model = load_model(
            parse_reference(arguments.pop("model"), revision=arguments.pop("revision", None)),
            LoadOptions(**arguments),
            progress.append,
        )
    except PictagError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return
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
    print(json.dumps(result))


if __name__ == "__main__":
    main()

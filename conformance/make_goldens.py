"""Record the reference's pixel values for tests/preprocess/test_goldens.py.

    .venv-conformance/bin/python conformance/make_goldens.py

`make test` has neither torch nor transformers: it compares with what this script wrote, on the same generated
images. For each result, the shape, the mean and eight values are recorded.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import numpy as np  # noqa: E402 - behind the path
import reference  # noqa: E402 - behind the path
from drawn import configurations, default_configuration  # noqa: E402 - behind the path
from test_processors import ELSEWHERE  # noqa: E402 - behind the path

from pictag.preprocess.classes import CLASSES  # noqa: E402 - behind the path
from preprocess.drawing import draw_images, sample  # noqa: E402 - behind the path

TARGET = HERE.parent / "tests" / "preprocess" / "goldens" / "transformers.json"
DRAWN = 6


def record(processor: str, folder: Path) -> list[dict[str, Any]]:
    entries = []
    drawn = [default_configuration(processor), *configurations(processor, count=DRAWN)]
    for configuration in drawn:
        (folder / "preprocessor_config.json").write_text(json.dumps(configuration))
        loaded = reference.load_processor(folder, configuration)
        results = {}
        for name, image in draw_images().items():
            if processor == "TextNetImageProcessor" and name == "strip" and configuration is drawn[0]:
                continue  # 68 million pixels
            try:
                values = loaded(image, return_tensors="np")["pixel_values"][0]
            except ValueError:
                continue  # resized to nothing
            results[name] = sample(np.asarray(values, dtype=np.float32))
        entries.append({"configuration": configuration, "results": results})
    return entries


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        goldens = {
            "versions": {name: version(name) for name in ("transformers", "numpy", "pillow")},
            "processors": {name: record(name, Path(folder)) for name in sorted(set(CLASSES) - ELSEWHERE)},
        }
    TARGET.parent.mkdir(exist_ok=True)
    text = json.dumps(goldens, separators=(",", ":")).replace('{"configuration"', '\n{"configuration"')
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(text)} characters")


if __name__ == "__main__":
    main()

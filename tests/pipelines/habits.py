"""Code as it is written for transformers. tests/ runs it with pictag, conformance/ also with transformers.

A snippet is an expression with the names of `Names`, whose ``pipeline`` returns lists as transformers does.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class KeyDataset:
    """Like `transformers.pipelines.pt_utils.KeyDataset`: a length and items, but no iterator."""

    dataset: Any
    key: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][self.key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a snippet can use. ``model`` is a folder, ``rows`` a dataset with one column of images."""

    pipeline: Any
    model: str
    paths: list[str]
    torch: Any
    key_dataset: Any

    def run(self, snippet: str) -> Any:
        """The value of the snippet."""
        images = [Image.open(path).copy() for path in self.paths]
        return eval(
            snippet,
            {
                "pipeline": self.pipeline,
                "model": self.model,
                "classifier": self.pipeline("image-classification", model=self.model, top_k=2),
                "path": self.paths[0],
                "paths": self.paths,
                "image": images[0],
                "images": images,
                "array": np.asarray(images[0]),
                "rows": [{"image": image, "label": 0} for image in images],
                "torch": self.torch,
                "np": np,
                "Path": Path,
                "KeyDataset": self.key_dataset,
                "pickle": pickle,
            },
        )


def make_torch() -> Any:
    """What the snippets use of PyTorch, which the tests don't install."""
    dtypes = {name: _Printed(f"torch.{name}") for name in ("float32", "float16", "bfloat16")}
    return SimpleNamespace(**dtypes, device=_Printed, from_numpy=_Tensor)


@dataclass(frozen=True, slots=True)
class _Printed:
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _Tensor:
    array: NDArray[Any]

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Any:
        return _Tensor(self.array[index])


SAME = (
    # the task and the model
    'pipeline(task="image-classification", model=model, top_k=2)(image)',
    'pipeline("image-classification", model)(image, top_k=2)',
    # where it runs
    'pipeline("image-classification", model, device=-1, top_k=2)(image)',
    'pipeline("image-classification", model, device="cpu", top_k=2)(image)',
    'pipeline("image-classification", model, device=torch.device("cpu"), top_k=2)(image)',
    'pipeline("image-classification", model, device=None, top_k=2)(image)',
    # its weights
    'pipeline("image-classification", model, dtype="auto", top_k=2)(image)',
    'pipeline("image-classification", model, dtype=None, top_k=2)(image)',
    'pipeline("image-classification", model, dtype="float32", top_k=2)(image)',
    'pipeline("image-classification", model, dtype=torch.float32, top_k=2)(image)',
    'pipeline("image-classification", model, dtype="float16", top_k=2)(image)',
    'pipeline("image-classification", model, dtype=torch.float16, top_k=2)(image)',
    'pipeline("image-classification", model, dtype=np.float16, top_k=2)(image)',
    # scores
    "classifier(image, top_k=3)",
    'classifier(image, function_to_apply="sigmoid")',
    'classifier(image, function_to_apply="NONE")',
    "classifier(image, function_to_apply=None)",
    'pipeline("image-classification", model, function_to_apply="SOFTMAX", top_k=2)(image)',
    # images
    "classifier(path)",
    "classifier(inputs=path)",
    "classifier(array)",
    "classifier(torch.from_numpy(array))",
    "classifier(images, batch_size=2)",
    'pipeline("image-classification", model, batch_size=2, token=False, top_k=2)(paths)',
    "list(classifier(path for path in paths))",
    'list(classifier(KeyDataset(rows, "image")))',
    # the pipeline itself
    "classifier.task",
    "str(classifier.device)",
    "pickle.loads(pickle.dumps(classifier))(image)",
)
"""What gives the same result as in transformers."""

PICTAG_ONLY = (
    "pipeline(model=model, top_k=2)(image)",  # transformers asks the Hub for the task
    "pipeline(None, model, top_k=2)(image)",
    "classifier(Path(path))",
    "classifier(Path(path).read_bytes())",
    "classifier.__enter__()(image)",
)
"""What gives the result of ``classifier(image)`` in pictag, and an error in transformers."""

HINTS = {
    # options of pipeline()
    'pipeline("image-classification", model, device_map="auto")': "device='cpu' or device='cuda'",
    'pipeline("image-classification", model, torch_dtype=torch.float16)': "dtype='fp32' or dtype='fp16'",
    'pipeline("image-classification", model, dtype=torch.bfloat16)': "engine='openvino' and precision='bf16'",
    'pipeline("image-classification", model, dtype="bfloat16")': "engine='openvino' and precision='bf16'",
    'pipeline("image-classification", model, image_processor=model)': "files say how .* classifier.forward",
    'pipeline("image-classification", model, feature_extractor=model)': "files say how .* classifier.forward",
    'pipeline("image-classification", model, tokenizer=None)': "isn't needed",
    'pipeline("image-classification", model, config=model)': "isn't supported",
    'pipeline("image-classification", model, num_workers=2)': "isn't needed.*all cores.*threads",
    'pipeline("image-classification", model, use_fast=True)': "isn't needed",
    'pipeline("image-classification", model, framework="pt")': "isn't needed",
    'pipeline("image-classification", model, trust_remote_code=True)': "isn't needed.*never runs code",
    'pipeline("image-classification", model, model_kwargs={})': "isn't supported.*cache_dir",
    'pipeline("image-classification", model, use_auth_token=True)': "Use token in",
    'pipeline("image-classification", torch.float16)': "Export a PyTorch model to ONNX",
    'pipeline("zero-shot-image-classification", model)': "can't score labels of your choice",
    'pipeline("image-feature-extraction", model)': "embeddings=True.*classifier.embed",
    'pipeline("object-detection", model)': "one task, 'image-classification'",
    # calls
    "classifier(images=image)": r"first argument: classifier\(images\)",
    "classifier(path, timeout=5)": "timeout_s",
    "classifier(images, num_workers=2)": "isn't needed.*all cores.*threads",
    'classifier(image, candidate_labels=["cat"])': "labels that it was trained with",
    "classifier(None)": "None is not an image",
    "classifier([images])": "one list",
    "classifier(rows)": r"classifier\(row\['image'\] for row in dataset\)",
    "classifier(np.moveaxis(array, 2, 0))": r"array\.transpose\(1, 2, 0\)",
    "classifier(torch.from_numpy(np.moveaxis(array, 2, 0) / 255))": r"tensor\.permute\(1, 2, 0\)",
    # attributes
    "classifier.model.config.id2label": "classifier.labels",
    "classifier.image_processor": r"classifier\.preprocess\(\)",
    'classifier.save_pretrained("folder")': "classifier.model.weights",
    "classifier.transform([image])": r"classifier\(images\)",
    "classifier.torch_dtype": "classifier.card.dtype",
}
"""What pictag doesn't have, and the hint in the error."""

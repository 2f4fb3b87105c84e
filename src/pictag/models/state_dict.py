"""Read a state dict that torch saved in its format before 1.6, without torch.

Such a file has five pickles (a magic number, a version, facts about the system, the tensors' shapes, and the
order of the storages), followed by the storages' bytes. Unpickling can run code, so the file's sha256 is
checked first, and the unpickler only knows the four names that a state dict contains.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictag.errors import CorruptModel, ModelFileMissing, shorten

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_COUNT_BYTES = 8  # before each storage: its number of values
# Names of numpy's types, not the types: a pickle can change any object that has __setstate__.
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
# What a broken or hostile pickle makes an unpickler raise.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Tensor(NamedTuple):
    """Where a tensor's values are: in which storage, from which index, in what shape and steps."""

    storage: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path, *, sha256: str) -> dict[str, NDArray[Any]]:
    """The tensors by name, as read-only arrays. Raises `ModelFileMissing` or `CorruptModel`.

    A file with another sha256 is rejected before any of it is unpickled.
    """
    import hashlib  # takes 5 ms

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileMissing(f"{shorten(path)} could not be read: {error.strerror}.") from error
    if (measured := hashlib.sha256(data).hexdigest()) != sha256:
        raise CorruptModel(
            f"{shorten(path)} was changed: its sha256 is {measured} instead of {sha256}, so it wasn't opened."
        )
    try:
        return _read(data)
    except _PICKLE_ERRORS as error:
        raise CorruptModel(
            f"{shorten(path)} is not a state dict in torch's old format: {shorten(error, 120)}."
        ) from error


def _read(data: bytes) -> dict[str, NDArray[Any]]:
    stream = io.BytesIO(data)
    if (_unpickle(stream)[0], _unpickle(stream)[0]) != (_MAGIC, _VERSION):
        raise ValueError("it starts with something else")
    _unpickle(stream)  # the system: sizes and byte order of its numbers, which the storages don't depend on
    tensors, dtypes = _unpickle(stream)
    storages = {}
    for key in _unpickle(stream)[0]:
        (count,) = np.frombuffer(stream.read(_COUNT_BYTES), "<u8")
        dtype = np.dtype(dtypes[key])
        storages[key] = np.frombuffer(stream.read(int(count) * dtype.itemsize), dtype, int(count))
    return {name: _view(storages[tensor.storage], tensor) for name, tensor in tensors.items()}


def _view(storage: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    axes = list(zip(tensor.shape, tensor.strides, strict=True))
    last = tensor.start + sum((size - 1) * stride for size, stride in axes)
    if min(tensor.start, *tensor.strides, *(size - 1 for size, _ in axes), 0) < 0 or last >= storage.size:
        raise ValueError("a tensor lies outside of its storage")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.start :], tensor.shape, strides, writeable=False)


def _unpickle(stream: io.BytesIO) -> tuple[Any, Mapping[str, str]]:
    """The next pickle's value, and the dtypes of the storages that it refers to."""
    unpickler = _Unpickler(stream)
    return unpickler.load(), unpickler.dtypes


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.dtypes: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it contains {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        """A storage: ``('storage', dtype, key, device, number of values, view)``."""
        _, dtype, key, _, _, view = pid
        if not isinstance(key, str) or dtype not in _DTYPES.values() or view is not None:
            raise pickle.UnpicklingError("it contains a storage of another kind")
        self.dtypes[key] = dtype
        return key

    def _rebuild(
        self, storage: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> _Tensor:
        return _Tensor(storage=storage, start=start, shape=shape, strides=strides)

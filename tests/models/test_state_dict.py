"""State dicts in torch's format before 1.6, assembled here opcode by opcode."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import CorruptModel, ModelFileMissing
from pictag.models.state_dict import read_state_dict

VALUES = np.arange(12, dtype="<f4")
SYSTEM = {"protocol_version": 1001, "little_endian": True}
HEADER = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, SYSTEM)]
KEYS = pickle.dumps(["7"], 2)


def put(value: object) -> bytes:
    """The opcodes of a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def make_storage(kind: str = "FloatStorage", *, view: object = None) -> bytes:
    fields = (put("storage"), f"ctorch\n{kind}\n".encode(), put("7"), put("cpu"), put(12), put(view))
    return b"(" + b"".join(fields) + b"tQ"


def make_tensor(
    *, start: int = 0, shape: Sequence[int] = (3, 4), strides: Sequence[int] = (4, 1), storage: bytes = b""
) -> bytes:
    storage = storage or make_storage()
    place = b"".join(put(value) for value in (start, tuple(shape), tuple(strides), False))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + b"ccollections\nOrderedDict\n)RtR"


def make_tensors(tensor: bytes) -> bytes:
    return b"\x80\x02ccollections\nOrderedDict\n)R" + put("weight") + tensor + b"s."


def make_file(tensor: bytes, *, values: bytes = VALUES.tobytes(), count: int = 12) -> bytes:
    return b"".join((*HEADER, make_tensors(tensor), KEYS, struct.pack("<Q", count), values))


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_tensors_are_views_of_their_storage(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for options, expected in (
        ({}, VALUES.reshape(3, 4)),
        ({"shape": (4, 3), "strides": (1, 4)}, VALUES.reshape(3, 4).T),
        ({"start": 2, "shape": (5,), "strides": (2,)}, VALUES[2::2]),
        ({"start": 11, "shape": (), "strides": ()}, VALUES[11]),
    ):
        sha256 = write(path, make_file(make_tensor(**options)))
        tensors = read_state_dict(path, sha256=sha256)
        assert list(tensors) == ["weight"]
        np.testing.assert_array_equal(tensors["weight"], expected)
        assert not tensors["weight"].flags.writeable


def test_whole_numbers_are_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    tensor = make_tensor(storage=make_storage("LongStorage"))
    sha256 = write(path, make_file(tensor, values=np.arange(12, dtype="<i8").tobytes()))
    assert read_state_dict(path, sha256=sha256)["weight"].dtype == np.int64


def make_attack(name: str, marker: Path) -> bytes:
    """A pickle that would run a command, which makes a file."""
    return b"\x80\x02c" + name.encode() + b"\n" + put(f"touch {marker}") + b"\x85R."


@pytest.mark.parametrize("name", ["posix\nsystem", "os\nsystem", "subprocess\ngetoutput", "builtins\neval"])
@pytest.mark.parametrize("part", [0, 1, 2, 3, 4])
def test_a_hostile_pickle_with_the_right_checksum_runs_nothing(name: str, part: int, tmp_path: Path) -> None:
    path, marker = tmp_path / "weights.pth", tmp_path / "marker"
    sound = [*HEADER, make_tensors(make_tensor()), KEYS]
    sha256 = write(path, b"".join([*sound[:part], make_attack(name, marker), *sound[part + 1 :]]))
    with pytest.raises(CorruptModel, match="not a state dict"):
        read_state_dict(path, sha256=sha256)
    assert not marker.exists()


@pytest.mark.parametrize(
    "tensor",
    [
        b"\x8c\x05posix\x8c\x06system\x93",  # STACK_GLOBAL
        b"(iposix\nsystem\n",  # INST
        b"cnumpy\ndtype\n",
        b"ctorch\nHalfStorage\n",
        b"ctorch._utils\n_rebuild_tensor\n",
        b"ccollections\nChainMap\n",
        b"ctorch\nFloatStorage\n)R",  # a call of something that isn't a function
        b"ctorch\nFloatStorage\n" + put((3, ">", None, None, None, -1, -1, 0)) + b"b",  # a dtype's state
        b"ctorch._utils\n_rebuild_tensor_v2\n" + put((None, {"__code__": 1})) + b"b",
        b"\x82\x01",  # an extension
        b"Pname\n",
        make_storage(),
        make_tensor(storage=make_storage(view=("7", 0, 3))),
        make_tensor(storage=put("8")),
        make_tensor(start=1),
        make_tensor(start=-1),
        make_tensor(strides=(4, -1)),
        make_tensor(shape=(-3, 4)),
        make_tensor(shape=(3, 5)),
        make_tensor(shape=(3,)),
        make_tensor(shape=(2**62, 2**62), strides=(2**62, 2**62)),
        b"",
    ],
)
def test_anything_else_than_a_tensor_is_an_error(tensor: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    sha256 = write(path, make_file(tensor))
    with pytest.raises(CorruptModel, match="not a state dict"):
        read_state_dict(path, sha256=sha256)


def test_a_changed_file_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    path, marker = tmp_path / "weights.pth", tmp_path / "marker"
    sha256 = write(path, make_file(make_tensor()))
    for content in (
        make_file(make_tensor(), values=VALUES[::-1].tobytes()),
        make_attack("posix\nsystem", marker),
        b"",
    ):
        changed = write(path, content)
        with pytest.raises(CorruptModel, match=f"its sha256 is {changed} instead of {sha256}"):
            read_state_dict(path, sha256=sha256)
    assert not marker.exists()


@pytest.mark.parametrize("count", [11, 13, 2**40, 2**64 - 1])
def test_a_storage_of_another_size_is_an_error(count: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    sha256 = write(path, make_file(make_tensor(), count=count))
    with pytest.raises(CorruptModel):
        read_state_dict(path, sha256=sha256)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match=r"weights\.pth"):
        read_state_dict(tmp_path / "weights.pth", sha256="0" * 64)


@given(data=st.data())
def test_every_damaged_file_gives_tensors_or_a_pictag_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(make_file(make_tensor()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    sha256 = write(path, bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        tensors = read_state_dict(path, sha256=sha256)
    except CorruptModel:
        return
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())

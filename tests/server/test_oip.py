"""The Open Inference Protocol with Triton's own clients and with raw requests."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from asking import Answer, LiveServer, ask, serve
from pictag import ImageClassificationPipeline, pipeline
from pictag.server.http_errors import BadRequest
from pictag.server.protocols.tensors import read_images
from tinymodel import make_image, make_tiny_model

MODEL = "org/colours"
INFER = f"/v2/models/{MODEL}/infer"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    with serve({MODEL: folder, "embedded": "embedded"}) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def classifier(folder: Path) -> ImageClassificationPipeline[Any]:
    return pipeline(model=folder)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("images")
    return [make_image(folder / f"{c}.png", c).read_bytes() for c in ("red", "green", "blue")]


def tensor_input(values: NDArray[np.float32], *, binary: bool = True) -> Any:
    tensor = triton.InferInput("pixel_values", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def image_input(images: list[bytes], name: str = "image") -> Any:
    tensor = triton.InferInput(name, [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, np.object_))
    return tensor


def post(server: LiveServer, value: Any, **headers: str) -> Answer:
    return ask(server, "POST", INFER, json.dumps(value), headers)


def message(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


class TestTritonClient:
    def test_can_query_the_server_and_its_models(self, client: Any) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(MODEL)
        assert client.is_model_ready(MODEL, "1")
        assert not client.is_model_ready(MODEL, "2")
        assert not client.is_model_ready("other")
        assert client.get_server_metadata()["name"] == "pictag"
        assert client.get_model_metadata(MODEL) == {
            "name": MODEL,
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "pixel_values", "datatype": "FP32", "shape": [-1, 3, 8, 8]}],
            "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
        }
        config = client.get_model_config(MODEL, "1")
        assert config["input"][0]["dims"] == [3, 8, 8]
        assert config["input"][0]["format"] == "FORMAT_NCHW"
        assert config["output"][0]["dims"] == [3]
        assert config["max_batch_size"] > 1
        assert [entry["name"] for entry in client.get_model_repository_index()] == [MODEL, "embedded"]

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("binary_out", [True, False])
    def test_can_send_tensors_and_gets_the_librarys_logits(
        self, client: Any, classifier: ImageClassificationPipeline[Any], binary: bool, binary_out: bool
    ) -> None:
        values = np.random.default_rng(7).uniform(-1, 1, (4, 3, 8, 8)).astype(np.float32)
        output = triton.InferRequestedOutput("logits", binary_data=binary_out)
        result = client.infer(
            MODEL, [tensor_input(values, binary=binary)], outputs=[output], request_id="r 7"
        )
        np.testing.assert_allclose(result.as_numpy("logits"), classifier.forward(values), atol=1e-5)
        assert result.get_response()["id"] == "r 7"
        assert ("parameters" in result.get_output("logits")) == binary_out

    @pytest.mark.parametrize("name", ["image", "pixel_values"])
    def test_can_send_images_and_gets_a_row_for_each(
        self,
        client: Any,
        images: list[bytes],
        classifier: ImageClassificationPipeline[Any],
        name: str,
    ) -> None:
        result = client.infer(MODEL, [image_input(images, name)], model_version="1")
        wanted = classifier.forward(classifier.preprocess(images))
        np.testing.assert_allclose(result.as_numpy("logits"), wanted, atol=1e-5)

    def test_can_request_classes(
        self, client: Any, images: list[bytes], classifier: ImageClassificationPipeline[Any]
    ) -> None:
        outputs = [
            triton.InferRequestedOutput("scores", class_count=2),
            triton.InferRequestedOutput("logits", binary_data=False, class_count=99),
        ]
        result = client.infer(MODEL, [image_input(images)], outputs=outputs)
        classes = result.as_numpy("scores")
        assert classes.shape == (3, 2)
        score, index, label = classes[1][0].decode().split(":")
        wanted = classifier(images[1])
        assert (label, index) == ("green", "1")
        assert float(score) == pytest.approx(wanted["score"], abs=1e-5)
        assert result.get_output("logits")["datatype"] == "BYTES"
        assert result.get_output("logits")["shape"] == [3, 3]

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_can_compress_its_requests(self, client: Any, images: list[bytes], algorithm: str) -> None:
        result = client.infer(
            MODEL,
            [image_input(images)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert result.as_numpy("logits").argmax(axis=1).tolist() == [0, 1, 2]

    def test_can_send_a_timeout_and_a_priority(self, client: Any, images: list[bytes]) -> None:
        result = client.infer(MODEL, [image_input(images)], timeout=20_000_000, priority=1)
        assert result.as_numpy("logits").shape == (3, 3)
        with pytest.raises(InferenceServerException, match="deadline") as caught:
            client.infer(MODEL, [image_input(images)], timeout=1)
        assert caught.value.status() == "504"

    def test_shows_the_servers_error_messages(self, client: Any, images: list[bytes]) -> None:
        good = image_input(images)
        problems: tuple[tuple[Callable[[], Any], str], ...] = (
            (lambda: client.infer("other", [good]), r"\[404\].*Unknown model: 'other'"),
            (lambda: client.infer(MODEL, [good], model_version="2"), r"\[404\].*version"),
            (lambda: client.infer(MODEL, [image_input([b"no image"])]), r"\[400\].*not a known image format"),
            (lambda: client.infer(MODEL, [image_input([images[0], b"GIF89a"])]), r"\[400\].*image 2"),
            (lambda: client.infer(MODEL, [image_input(images, "other")]), r"\[400\].*input 'other'"),
            (lambda: client.infer(MODEL, [tensor_input(np.zeros((1, 3, 9, 9), np.float32))]), "shape"),
            (
                lambda: client.infer(MODEL, [good], outputs=[triton.InferRequestedOutput("x")]),
                r"\[400\].*no output 'x'",
            ),
            (lambda: client.infer(MODEL, [good], sequence_id=3), "sequence_id"),
        )
        for problem, text in problems:
            with pytest.raises(InferenceServerException) as caught:
                problem()
            assert re.search(text, str(caught.value)), (text, str(caught.value))

    def test_shows_what_this_server_does_not_offer(self, client: Any) -> None:
        problems: tuple[tuple[Callable[[], Any], str], ...] = (
            (client.get_inference_statistics, "statistics"),
            (lambda: client.get_inference_statistics(MODEL), "statistics"),
            (lambda: client.get_inference_statistics(MODEL, "1"), "statistics"),
            (client.get_trace_settings, "tracing"),
            (lambda: client.get_trace_settings(MODEL), "tracing"),
            (lambda: client.update_trace_settings(MODEL, {"trace_rate": "1"}), "tracing"),
            (client.get_log_settings, "log settings"),
            (lambda: client.update_log_settings({"log_info": True}), "log settings"),
            (client.get_system_shared_memory_status, "shared memory"),
            (lambda: client.register_system_shared_memory("r", "/k", 8), "shared memory"),
            (client.unregister_cuda_shared_memory, "shared memory"),
            (lambda: client.load_model(MODEL), "loading models"),
            (lambda: client.unload_model(MODEL), "loading models"),
        )
        for problem, what in problems:
            with pytest.raises(InferenceServerException, match=f"does not offer.*{what}") as caught:
                problem()
            assert caught.value.status() == "404"

    def test_works_with_asyncio(self, server: LiveServer, images: list[bytes]) -> None:
        async def run() -> None:
            async with triton_aio.InferenceServerClient(server.address) as client:
                assert await client.is_server_live()
                assert await client.is_server_ready()
                assert await client.is_model_ready(MODEL)
                assert (await client.get_model_metadata(MODEL))["name"] == MODEL
                assert (await client.get_model_config(MODEL))["name"] == MODEL
                results = await asyncio.gather(
                    *(client.infer(MODEL, [image_input([image])]) for image in images * 3)
                )
                best = [int(result.as_numpy("logits").argmax()) for result in results]
                assert best == [0, 1, 2] * 3
                with pytest.raises(InferenceServerException, match="Unknown model"):
                    await client.infer("other", [image_input(images)])

        asyncio.run(run())


def test_a_raw_body_is_one_image(server: LiveServer, images: list[bytes]) -> None:
    answer = ask(server, "POST", INFER, images[2], {"Inference-Header-Content-Length": "0"})
    assert answer.status == 200
    output = json.loads(answer.body)["outputs"][0]
    assert output["shape"] == [1, 3]
    assert int(np.argmax(output["data"])) == 2


def test_images_may_be_base64_strings(server: LiveServer, images: list[bytes]) -> None:
    texts = [base64.b64encode(image).decode() for image in images]
    for shape, data in (([3], texts), ([3, 1], [[text] for text in texts])):
        tensor = {"name": "image", "datatype": "BYTES", "shape": shape, "data": data}
        answer = post(server, {"inputs": [tensor], "outputs": []})
        assert json.loads(answer.body)["outputs"][0]["shape"] == [3, 3]


def test_a_tensor_may_be_nested_or_flat(server: LiveServer) -> None:
    values = np.linspace(-1, 1, 192).astype(np.float32).reshape(1, 3, 8, 8)
    rows = []
    for data in (values.tolist(), values.ravel().tolist()):
        tensor = {"name": "pixel_values", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": data}
        rows.append(json.loads(post(server, {"inputs": [tensor]}).body)["outputs"][0]["data"])
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", "<f2"), ("FP64", "<f8")])
def test_other_float_types_are_accepted(server: LiveServer, datatype: str, dtype: str) -> None:
    data = np.full((1, 3, 8, 8), 0.5, dtype).tobytes()
    tensor = {
        "name": "pixel_values",
        "datatype": datatype,
        "shape": [1, 3, 8, 8],
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = ask(server, "POST", INFER, head + data, {"Inference-Header-Content-Length": str(len(head))})
    assert json.loads(answer.body)["outputs"][0]["data"] == pytest.approx([1, 1, 1])


GOOD = {"name": "pixel_values", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [0.0] * 192}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shape": None}, "shape"),
        ({"shape": [1, 3, 8, -8]}, "shape"),
        ({"shape": [1, 3, 8, True]}, "shape"),
        ({"shape": [2**62, 2**62]}, "shape"),
        ({"shape": [1] * 100}, "shape"),
        ({"shape": [3, 8, 8]}, "shape"),
        ({"shape": [0, 3, 8, 8], "data": []}, "1 to 128"),
        ({"shape": [129, 3, 8, 8]}, "1 to 128"),
        ({"datatype": "UINT8"}, "datatype='UINT8'"),
        ({"datatype": ["FP32"]}, "datatype"),
        ({"datatype": None}, "datatype"),
        ({"name": None}, "no input None"),
        ({"name": "x" * 5000}, "no input"),
        ({"data": None}, "'data'"),
        ({"data": [0.0] * 191}, "192 elements, not 191"),
        ({"data": ["0"] * 192}, "not a number"),
        ({"data": [True] * 192}, "not a number"),
        ({"data": [None] * 192}, "not a number"),
        ({"data": [1e300] * 192}, "finite"),
        ({"data": [10**400] * 192}, "too large"),
        ({"data": [[0.0] * 96, 1.0]}, "mixes"),
        ({"parameters": {"binary_data_size": 768}}, "both"),
        ({"parameters": {"shared_memory_region": "x"}}, "Shared memory"),
        ({"parameters": []}, "'parameters' is not an object"),
    ],
)
def test_a_tensor_that_is_invalid_or_does_not_fit_the_model_is_rejected(
    server: LiveServer, change: dict[str, Any], text: str
) -> None:
    answer = post(server, {"inputs": [GOOD | change]})
    assert (answer.status, text in message(answer)) == (400, True), message(answer)
    assert len(message(answer)) < 600


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"inputs": []},
        {"inputs": [GOOD, GOOD]},
        {"inputs": [3]},
        {"inputs": GOOD},
        {"inputs": [GOOD], "id": 3},
        {"inputs": [GOOD], "parameters": "x"},
        {"inputs": [GOOD], "parameters": {"timeout": -1}},
        {"inputs": [GOOD], "parameters": {"timeout": "1"}},
        {"inputs": [GOOD], "parameters": {"timeout": True}},
        {"inputs": [GOOD], "parameters": {"binary_data_output": "yes"}},
        {"inputs": [GOOD], "outputs": [{"name": "logits"}, {"name": "logits"}]},
        {"inputs": [GOOD], "outputs": ["logits"]},
        {"inputs": [GOOD], "outputs": [{"name": "logits", "parameters": {"classification": -1}}]},
        {"inputs": [GOOD], "outputs": [{"name": "logits", "parameters": {"classification": "2"}}]},
        {"inputs": [GOOD], "outputs": [{"name": "logits", "parameters": {"classification": 2**63}}]},
        {"inputs": [GOOD], "outputs": [{"name": "logits", "parameters": {"binary_data": 1}}]},
        {"inputs": [GOOD], "outputs": [{"name": "logits", "parameters": {"shared_memory_region": "x"}}]},
    ],
    ids=lambda value: json.dumps(value).replace(json.dumps(GOOD), "…"),
)
def test_an_invalid_request_is_rejected(server: LiveServer, value: Any) -> None:
    answer = post(server, value)
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == 400


@pytest.mark.parametrize(
    ("length", "tail", "text"),
    [
        ("9999", b"", "only"),
        ("-1", b"", "not a whole number"),
        ("x", b"", "not a whole number"),
        ("1" * 50, b"", "not a whole number"),
        (None, struct.pack("<I", 5) + b"abc", "fewer follow"),
        (None, b"\x01\x00", "within a length"),
        (None, b"\xff\xff\xff\xffab", "4,294,967,295 bytes"),
        (None, struct.pack("<I", 0) * 2, "more elements"),
    ],
)
def test_binary_data_with_wrong_lengths_is_rejected(
    server: LiveServer, length: str | None, tail: bytes, text: str
) -> None:
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(tail)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)) if length is None else length}
    answer = ask(server, "POST", INFER, head + tail, headers)
    assert (answer.status, text in message(answer)) == (400, True), message(answer)


def test_bytes_that_no_tensor_claims_are_rejected(server: LiveServer) -> None:
    head = json.dumps({"inputs": [GOOD]}).encode()
    answer = ask(server, "POST", INFER, head + b"xyz", {"Inference-Header-Content-Length": str(len(head))})
    assert (answer.status, "3 bytes" in message(answer)) == (400, True)


def test_a_tensor_with_nan_is_rejected(server: LiveServer) -> None:
    data = np.full((1, 3, 8, 8), np.nan, "<f4").tobytes()
    tensor = GOOD | {"parameters": {"binary_data_size": len(data)}}
    del tensor["data"]
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = ask(server, "POST", INFER, head + data, {"Inference-Header-Content-Length": str(len(head))})
    assert (answer.status, "finite" in message(answer)) == (400, True)


def test_a_tensor_that_overflows_in_the_model_is_a_bad_request(server: LiveServer) -> None:
    for outputs in (
        [{"name": "logits"}],
        [{"name": "scores"}],
        [{"name": "scores", "parameters": {"classification": 1}}],
    ):
        tensor = GOOD | {"data": [3e38, -3e38] * 96}
        answer = post(server, {"inputs": [tensor], "outputs": outputs})
        assert answer.status in (200, 400)
        json.loads(answer.body, parse_constant=pytest.fail)


def test_a_compressed_body_is_read_with_its_header_length(server: LiveServer, images: list[bytes]) -> None:
    data = struct.pack("<I", len(images[0])) + images[0]
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Encoding": "gzip"}
    assert ask(server, "POST", INFER, gzip.compress(head + data), headers).status == 200


def index_of(server: LiveServer, body: bytes | None) -> Answer:
    return ask(server, "POST", "/v2/repository/index", body)


def test_the_index_can_be_limited_to_ready_models(tmp_path: Path) -> None:
    with serve({"broken": tmp_path / "nothing", "embedded": "embedded"}) as server:
        assert ask(server, "POST", "/", b"GIF89a").status == 500
        for body in (None, b"", b"{}", b'{"ready": false}', b'{"ready": null, "other": 1}'):
            entries = json.loads(index_of(server, body).body)
            assert [(entry["name"], entry["state"]) for entry in entries] == [
                ("broken", "UNAVAILABLE"),
                ("embedded", "READY"),
            ], body
        entries = json.loads(index_of(server, b'{"ready": true}').body)
        assert [entry["name"] for entry in entries] == ["embedded"]


@pytest.mark.parametrize("body", [b"junk", b"[]", b"3", b'{"ready": 1}', b'{"ready": "true"}', b"\xff"])
def test_an_invalid_index_request_is_rejected(server: LiveServer, body: bytes) -> None:
    answer = index_of(server, body)
    assert (answer.status, json.loads(answer.body)["type"]) == (400, "bad_request")


def test_only_supported_extensions_are_listed(server: LiveServer) -> None:
    extensions = json.loads(ask(server, "GET", "/v2").body)["extensions"]
    assert extensions == ["classification", "binary_tensor_data", "model_configuration"]


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        ({}, 128),
        ({"max_queue": 7}, 7),
        ({"max_body_bytes": 10_000}, 11),  # 768 bytes each, and the head
        ({"max_body_bytes": 500}, 1),
        ({"max_queued_bytes": 4000}, 5),
    ],
)
def test_a_batch_of_max_batch_size_is_accepted(folder: Path, limits: dict[str, int], size: int) -> None:
    with serve({MODEL: folder}, **limits) as server:
        config = json.loads(ask(server, "GET", f"/v2/models/{MODEL}/config").body)
        assert config["max_batch_size"] == size
        if limits != {"max_body_bytes": 500}:
            data = bytes(768 * size)
            tensor = GOOD | {"shape": [size, 3, 8, 8], "parameters": {"binary_data_size": len(data)}}
            del tensor["data"]
            head = json.dumps({"inputs": [tensor]}).encode()
            headers = {"Inference-Header-Content-Length": str(len(head))}
            answer = ask(server, "POST", INFER, head + data, headers)
            assert answer.status == 200, answer.body


def test_a_model_that_cannot_be_loaded_is_not_ready(tmp_path: Path) -> None:
    with serve({"broken": tmp_path / "nothing"}) as server:
        assert ask(server, "GET", "/v2/models/broken/ready").status == 200  # not tried yet
        assert ask(server, "POST", "/", b"GIF89a").status == 500
        for path, status in (
            ("/v2/models/broken/ready", 400),
            ("/v2/health/ready", 400),
            ("/v2/health/live", 200),
            ("/health", 503),
            ("/ping", 503),
        ):
            assert ask(server, "GET", path).status == status, path
        index = json.loads(ask(server, "POST", "/v2/repository/index").body)
        assert index[0]["state"] == "UNAVAILABLE"


def test_too_many_strings_are_rejected_before_any_is_decoded() -> None:
    with pytest.raises(BadRequest, match="has 1 elements, not 2"):
        read_images(["not base64!", "nor this!"], (1,))


def test_a_shape_with_too_many_images_is_rejected(server: LiveServer) -> None:
    for shape in ([129], [64, 64], [2, 2, 100], [0], [3, 0]):
        tensor = {"name": "image", "datatype": "BYTES", "shape": shape, "data": []}
        answer = post(server, {"inputs": [tensor]})
        assert (answer.status, "1 to 128 images" in message(answer)) == (400, True), shape


def test_millions_of_empty_elements_are_rejected_at_the_first_extra_one() -> None:
    """A small compressed body can hold millions of them, which would block the event loop for seconds."""
    with pytest.raises(BadRequest, match="more elements than its shape says: 1"):
        read_images(memoryview(bytes(2**25)), (1,))

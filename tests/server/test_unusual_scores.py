"""Models whose scores are infinite or not a number."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from asking import ask, serve
from probegraphs import make_probe
from recording import encode_image

RED, WHITE = encode_image((255, 0, 0)), encode_image((255, 255, 255))


def test_an_image_whose_scores_are_not_numbers_fails_alone(tmp_path: Path) -> None:
    """l / l is 0 / 0 for the channels that are 0."""
    folder = make_probe(tmp_path / "model", "y = Div(l, l)", config={"pictag": {"output": "logits"}})
    with serve({"nan": folder}) as server:
        inputs = [base64.b64encode(image).decode() for image in (WHITE, RED)]
        body = json.dumps({"inputs": inputs, "parameters": {"function_to_apply": "none"}}).encode()
        good, bad = json.loads(ask(server, "POST", "/", body).body)
        assert good[0]["score"] == 1
        assert (bad["code"], bad["type"]) == (500, "engine_error")
        assert ask(server, "POST", "/", RED).status == 500


def test_infinite_scores_are_finite_in_json(tmp_path: Path) -> None:
    folder = make_probe(tmp_path / "model", "y = Log(l)")
    with serve({"log": folder}) as server:
        answer = ask(server, "POST", "/?function_to_apply=none&top_k=3", RED)
        assert [label["score"] < -3e38 for label in json.loads(answer.body)] == [False, True, True]
        tensor = {
            "name": "image",
            "shape": [1],
            "datatype": "BYTES",
            "data": [base64.b64encode(RED).decode()],
        }
        infer = json.dumps({"inputs": [tensor]}).encode()
        (output,) = json.loads(ask(server, "POST", "/v2/models/log/infer", infer).body)["outputs"]
        assert [score < -3e38 for score in output["data"]] == [False, True, True]

"""Generated images, a function that encodes them in any format, and a server that sends them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from images.imageserver import Handler, Server, send


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """An RGB image of 48×36 with gradients and some noise; all corners differ."""
    y, x = np.mgrid[0:36, 0:48]
    noise = np.random.default_rng(7).integers(0, 40, (36, 48, 3))
    return Image.fromarray((np.stack([x * 4, y * 5, x + y], axis=-1) + noise).astype(np.uint8))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Writes an image: ``encode(image, "PNG", **options) -> bytes``."""

    def encode_image(image: Image.Image, form: str, **options: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return encode_image


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running = []

    def start(answers: dict[str, Callable[[Handler], None]], host: str = "127.0.0.1") -> Server:
        server = Server(answers, host)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve({})


@pytest.fixture
def canary(serve: Callable[..., Server]) -> Iterator[Server]:
    """A server on loopback that must not be reached."""
    server = serve({"/": send(b"secret")})
    yield server
    assert server.connections == 0

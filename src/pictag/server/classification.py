"""From a request's images to their scores: model, dispatcher, deadline."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pictag.errors import DeadlineExceeded, EngineError, InputError
from pictag.images import Source
from pictag.server.http_errors import BadRequest, NotReady, Overloaded, stopping_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from pictag.execution import Outcome
    from pictag.server.request import Request
    from pictag.server.served_model import ServedModel

MAX_IMAGES = 128  # per request
T = TypeVar("T")


def check_room(request: Request, model: str, *, timeout_s: float | None = None) -> None:
    """Reject a request before its body is read if it would be rejected afterwards anyway.

    ``timeout_s`` is the longest time that the body may ask for. Raises `Overloaded`.
    """
    served, size_bytes = request.services.registry.peek(model), request.content_length
    if served is None or size_bytes is None:
        return
    try:
        request.services.dispatcher.check_room(
            served, size_bytes=size_bytes, deadline_s=request.deadline_s(timeout_s)
        )
    except Overloaded:
        request.skip_body()
        raise


@asynccontextmanager
async def use_model(request: Request, model: str, *, deadline_s: float) -> AsyncIterator[ServedModel]:
    """Hold a model while it is used, loading it first if necessary.

    Raises `DeadlineExceeded`, and `Overloaded` while the server stops, since some clients retry a "not ready"
    at once, endlessly.
    """
    async with AsyncExitStack() as stack:
        limit = asyncio.timeout(deadline_s - time.monotonic())
        try:
            async with limit:
                served = await stack.enter_async_context(request.services.registry.use(model))
        except NotReady as error:
            raise stopping_error() from error
        except TimeoutError as error:
            if not limit.expired():  # raised by the load itself
                raise
            raise DeadlineExceeded(
                f"The model {model} was not loaded before the request's deadline. Try again."
            ) from error
        yield served


async def classify_one(
    request: Request, served: ServedModel, image: bytes | Source, *, deadline_s: float
) -> Outcome:
    """The scores of one image. Raises its error."""
    source = name_images([image])[0]
    return await request.services.dispatcher.classify(served, source, deadline_s=deadline_s)


async def classify_each(
    request: Request, served: ServedModel, images: Sequence[bytes | Source], *, deadline_s: float
) -> list[Outcome | InputError | EngineError]:
    """For each image its scores or the reason why it can't be classified."""

    async def run(image: bytes | Source) -> Outcome | InputError | EngineError:
        try:
            return await classify_one(request, served, image, deadline_s=deadline_s)
        except (InputError, EngineError) as error:
            return error

    return await run_all(request, [partial(run, image) for image in name_images(images)])


def name_images(images: Sequence[bytes | Source]) -> list[Source]:
    """The images with names for error messages: "the image", or numbered from 1 if there are several."""
    return [
        image
        if isinstance(image, Source)
        else Source(name=f"image {number}" if len(images) > 1 else "the image", kind="bytes", value=image)
        for number, image in enumerate(images, start=1)
    ]


async def run_all(request: Request, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results of concurrent calls, in order; the first error cancels the others."""
    check_image_count(len(calls), at_most=min(MAX_IMAGES, request.services.settings.max_queue))
    if len(calls) == 1:
        return [await calls[0]()]
    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_image_count(count: int, *, at_most: int = MAX_IMAGES) -> None:
    """Raise `BadRequest` unless the number of images is valid."""
    if not 1 <= count <= at_most:
        raise BadRequest(f"A request may have 1 to {at_most} images, not {count:,}.")

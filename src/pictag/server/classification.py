"""From the images of one request to their logits: model, dispatcher, deadline."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pictag.errors import EngineError, InputError
from pictag.images import Source
from pictag.server.refusals import BadRequest, DeadlinePassed, NotReady, Overloaded, refuse_while_stopping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pictag.server.exchange import Exchange
    from pictag.server.registry import ServedModel

MAX_IMAGES = 128  # in one request; more make several requests
T = TypeVar("T")


def check_room(call: Exchange, name: str, *, timeout_s: float | None = None) -> None:
    """Refuse a request before its body is read, where it would be refused afterwards: that costs less.

    ``timeout_s`` is the longest that the body may ask for. Raises `Overloaded`.
    """
    served, size_bytes = call.services.registry.peek(name), call.announced_bytes
    if served is None or size_bytes is None:
        return
    try:
        call.services.dispatcher.check_room(
            served, size_bytes=size_bytes, deadline_s=call.deadline_s(timeout_s)
        )
    except Overloaded:
        call.skip()
        raise


@asynccontextmanager
async def use_model(call: Exchange, name: str, *, deadline_s: float) -> AsyncIterator[ServedModel]:
    """Hold a model while it is used; one that is not loaded is loaded first.

    Raises `DeadlinePassed`, and `Overloaded` while the server stops: there are clients that come again at
    once, and without end, where they are told that it is not ready.
    """
    held = call.services.registry.use(name)
    limit = asyncio.timeout(deadline_s - time.monotonic())
    try:
        async with limit:
            served = await held.__aenter__()
    except NotReady as error:
        raise refuse_while_stopping() from error
    except TimeoutError as error:
        if not limit.expired():  # it is the load that gave up
            raise
        raise DeadlinePassed(
            f"The model {name} was not loaded within the time allowed; try again."
        ) from error
    try:
        yield served
    finally:
        await held.__aexit__(None, None, None)


async def classify_one(
    call: Exchange, served: ServedModel, image: bytes | Source, *, deadline_s: float
) -> NDArray[np.float32]:
    """The logits [L] of one image."""
    source = name_images([image])[0]
    return await call.services.dispatcher.classify(served, source, deadline_s=deadline_s)


async def classify_each(
    call: Exchange, served: ServedModel, images: Sequence[bytes | Source], *, deadline_s: float
) -> list[NDArray[np.float32] | InputError | EngineError]:
    """The logits [L] of each image, or why that one could not be used; all are dispatched together."""

    async def run(image: bytes | Source) -> NDArray[np.float32] | InputError | EngineError:
        try:
            return await classify_one(call, served, image, deadline_s=deadline_s)
        except (InputError, EngineError) as error:
            return error

    return await run_all(call, [partial(run, image) for image in name_images(images)])


def name_images(images: Sequence[bytes | Source]) -> list[Source]:
    """The images under names for messages: of several, the number of each, from 1."""
    return [
        image
        if isinstance(image, Source)
        else Source(name=f"image {number}" if len(images) > 1 else "the image", kind="bytes", value=image)
        for number, image in enumerate(images, start=1)
    ]


async def run_all(call: Exchange, jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results of jobs that run beside each other; the first that fails has the rest cancelled."""
    check_count_of_images(len(jobs), at_most=min(MAX_IMAGES, call.services.settings.max_queue))
    if len(jobs) == 1:
        return [await jobs[0]()]
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_count_of_images(count: int, *, at_most: int = MAX_IMAGES) -> None:
    """Raise `BadRequest` for more images than one request may have, or none."""
    if not 1 <= count <= at_most:
        raise BadRequest(f"A request has from 1 to {at_most} images; this one has {count:,}.")

"""What the protocols work with: models, the executor behind its admission control, limits and metrics."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pictag.engines.cores import count_cores
from pictag.errors import DeadlineExceeded, EngineError, InputError, OptionError
from pictag.images import Source
from pictag.server.body_budget import BodyBudget
from pictag.server.dispatch import Dispatcher
from pictag.server.http_errors import NotReady, Overloaded, stopping_error
from pictag.server.model_names import read_model
from pictag.server.prometheus import Metrics
from pictag.server.registry import Registry
from pictag.server.requests import check_image_count, read_content_length, read_deadline, receive_body
from pictag.server.served_model import open_model
from pictag.server.settings import MAX_IMAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request

    from pictag.execution import Outcome
    from pictag.server.served_model import ModelSpec, ServedModel
    from pictag.server.settings import ServerSettings

T = TypeVar("T")

_RETRY_EXPLANATION_S = 2.0


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts behind the protocols. While ``is_stopping``, requests under way are finished.

    ``explaining`` counts the explanations under way.
    """

    settings: ServerSettings
    registry: Registry
    dispatcher: Dispatcher
    body_budget: BodyBudget
    metrics: Metrics
    is_stopping: bool = False
    explaining: int = 0

    @contextmanager
    def hold_explanation(self) -> Iterator[None]:
        """Count one explanation. Raises `Overloaded` if half of the workers are busy with explanations.

        Occlusion classifies 64 copies of an image, so the estimate of the waiting time doesn't fit it.
        """
        if self.explaining >= max(1, (self.settings.threads or count_cores()) // 2):
            raise Overloaded(
                _RETRY_EXPLANATION_S, "Too many images are being explained.", reason="explanations"
            )
        self.explaining += 1
        try:
            yield
        finally:
            self.explaining -= 1

    def check_ready(self, model: str | None = None) -> None:
        """Raise `NotReady` while the server stops, or while ``model`` (the default one) can't be used.

        A model that isn't loaded counts as ready, since a request loads it. So does one that failed to load
        once it may be tried again: a load balancer would otherwise never send the request that loads it.
        Raises `ModelNotServed`.
        """
        status = self.registry.describe(model if model is not None else self.registry.default)
        if self.is_stopping:
            raise NotReady("The server is stopping.")
        if not status.takes_requests:
            raise NotReady(f"The model {status.name} is not ready: {status.state}.")

    def read_deadline(self, request: Request, timeout_s: float | None = None) -> float:
        """See `pictag.server.requests.read_deadline`."""
        return read_deadline(request, self.settings, timeout_s)

    def check_room(self, request: Request, model: str, *, timeout_s: float | None = None) -> None:
        """Reject a request before its body is read if it would be rejected afterwards anyway.

        ``timeout_s`` is the longest time that the body may ask for. Raises `Overloaded`.
        """
        served, size_bytes = self.registry.peek(model), read_content_length(request, self.settings)
        if served is not None and size_bytes is not None:
            deadline_s = self.read_deadline(request, timeout_s)
            self.dispatcher.check_room(served, size_bytes=size_bytes, deadline_s=deadline_s)

    def receive_body(self, request: Request) -> AbstractAsyncContextManager[bytes]:
        """See `pictag.server.requests.receive_body`."""
        return receive_body(request, settings=self.settings, budget=self.body_budget)

    @asynccontextmanager
    async def use_model(self, model: str, *, deadline_s: float) -> AsyncIterator[ServedModel]:
        """Hold a model while it is used, loading it first if necessary.

        Raises `DeadlineExceeded`, and `Overloaded` while the server stops, since some clients retry a "not
        ready" at once, endlessly.
        """
        async with AsyncExitStack() as stack:
            limit = asyncio.timeout(deadline_s - time.monotonic())
            try:
                async with limit:
                    served = await stack.enter_async_context(self.registry.use(model))
            except NotReady as error:
                raise stopping_error() from error
            except TimeoutError as error:
                if not limit.expired():  # raised by the load itself
                    raise
                raise DeadlineExceeded(
                    f"The model {model} was not loaded before the request's deadline. Try again."
                ) from error
            yield served

    async def classify_each(
        self, served: ServedModel, images: Sequence[bytes | Source], *, deadline_s: float
    ) -> list[Outcome | InputError | EngineError]:
        """For each image its scores or the reason why it can't be classified."""

        async def run(image: Source) -> Outcome | InputError | EngineError:
            try:
                return await self.dispatcher.classify(served, image, deadline_s=deadline_s)
            except (InputError, EngineError) as error:
                return error

        return await self.run_all([partial(run, image) for image in name_images(images)])

    async def run_all(self, calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """The results of concurrent calls, in order; the first error cancels the others."""
        check_image_count(len(calls), at_most=min(MAX_IMAGES, self.settings.max_queue))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(call()) for call in calls]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def close(self) -> None:
        """Stop after the runs under way, and unload all models."""
        self.dispatcher.close()
        await self.registry.close()


def services_of(request: Request) -> Services:
    """The services of the application that handles this request."""
    services: Services = request.app.state.services
    return services


def make_services(
    settings: ServerSettings, *, open_model: Callable[[ModelSpec], ServedModel] = open_model
) -> Services:
    """Create everything behind the protocols. Raises `OptionError` for an invalid or duplicate model name."""
    metrics = Metrics()
    specs = [read_model(text, settings) for text in settings.models]
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise OptionError(f"models: two have the same name ({', '.join(names)}); give NAME=REFERENCE.")
    registry = Registry(
        specs,
        open_model=open_model,
        memory_budget_bytes=settings.memory_budget_mb * 2**20 if settings.memory_budget_mb else None,
        idle_s=settings.idle_s,
        preload=settings.preload,
    )
    dispatcher = Dispatcher(settings, metrics=metrics)
    metrics.queued.set_function(lambda: dispatcher.queued)
    metrics.running.set_function(lambda: dispatcher.running)
    for name in names:
        metrics.loaded.labels(name).set_function(partial(_is_loaded, registry, name))
    return Services(
        settings=settings,
        registry=registry,
        dispatcher=dispatcher,
        body_budget=BodyBudget(settings.max_queued_bytes),
        metrics=metrics,
    )


def _is_loaded(registry: Registry, name: str) -> bool:
    return registry.peek(name) is not None


def name_images(images: Sequence[bytes | Source]) -> list[Source]:
    """The images with names for error messages: "the image", or numbered from 1 if there are several."""
    return [
        image
        if isinstance(image, Source)
        else Source(name=f"image {number}" if len(images) > 1 else "the image", kind="bytes", value=image)
        for number, image in enumerate(images, start=1)
    ]

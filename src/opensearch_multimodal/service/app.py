"""The HTTP side: routes, and what holds for every one of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..encoder import EncoderPool
from ..models import is_present, list_specs
from . import openapi
from .encoding import EncodeService
from .health import Readiness
from .lanes import Gate, Job, Lane
from .metrics import CONTENT_TYPE, Metrics
from .refusal import Refusal, busy, frames, refusal_of, unauthorized
from .schemas import EncodeFields, EncodeModel, RankRequest, parse
from .searching import SearchService
from .security import Caller, identify
from .settings import ServiceSettings

__all__ = ["PROTOCOL", "Service", "create_app"]

PROTOCOL = "1"
"""Version of what plugin and service say to each other, in the header ``X-Multimodal-Protocol``."""

_PROTOCOL_HEADER = "x-multimodal-protocol"
_HEAVY_BODY = 256 * 1024
_OPEN = frozenset({"/health/live", "/health/ready"})
_JSON = orjson.OPT_SERIALIZE_NUMPY
_GONE = 499
_ENCODE_DEADLINE_MS = 60_000
_log = logging.getLogger("opensearch_multimodal.service")


class Service:
    """What one worker has: encoders, lanes, metrics, the connection to the cluster.

    Attributes:
        readiness: whether requests can be sent here.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        """Prepare; nothing is loaded or sent yet."""
        limits = settings.limits
        self.settings = settings
        self.metrics = Metrics()
        self.pool = EncoderPool(provider=settings.provider, threads=settings.threads)
        gate = Gate()
        self.encoding = EncodeService(self.pool, gate, limits, self.metrics)
        self.cluster = settings.cluster.connect(limits.search_threads + 2) if settings.cluster else None
        self.searching = self.cluster and SearchService(
            self.cluster,
            self.pool,
            gate,
            self.metrics,
            limits=limits,
            description_seconds=settings.description_seconds,
        )
        self.readiness = Readiness(self.pool, settings.models, self.cluster)
        self.search_lane = Lane("search", self.metrics, threads=limits.search_threads, queue=limits.queue)
        self.query_lane = Lane("query", self.metrics, threads=limits.query_threads, queue=limits.queue)
        self.passage_lane = Lane("passage", self.metrics, threads=1, queue=limits.queue)
        self.in_flight = 0

    def close(self) -> None:
        """Stop the work in hand and close the connections."""
        for lane in (self.search_lane, self.query_lane, self.passage_lane):
            lane.close()
        if self.cluster:
            self.cluster.close()

    async def encode(self, request: Request, caller: Caller) -> Response:
        """Answer ``POST /v1/encode``."""
        asked = await self._read(request, "encode")
        assert isinstance(asked, EncodeFields | EncodeModel)  # noqa: S101 - parse gives these for the route
        self.encoding.check(asked)
        job = _job(asked.deadline_ms or _ENCODE_DEADLINE_MS, self.settings.limits.encode_seconds)
        lane = self.query_lane if asked.task == "query" else self.passage_lane
        answer = await lane.run(lambda: _dump(self.encoding.run(asked, job)), job, partial(_gone, request))
        self.metrics.stages("encode", job.timings_ms)
        return _json(answer)

    async def rank(self, request: Request, caller: Caller) -> Response:
        """Answer ``POST /v1/rank``."""
        return await self._search(request, caller, "rank")

    async def search(self, request: Request, caller: Caller) -> Response:
        """Answer ``POST /v1/search``."""
        return await self._search(request, caller, "search")

    async def _search(self, request: Request, caller: Caller, route: str) -> Response:
        searching = self.searching
        if not searching:
            raise Refusal(400, "invalid_input", "this service only encodes: it was started without a cluster")
        if caller.authorization is None and self.settings.require_authorization:
            raise unauthorized(
                "a search is sent with the caller's Authorization for the cluster, which is missing "
                "(the service's own token goes in X-Multimodal-Token)",
                challenge="Basic",
            )
        asked = await self._read(request, route)
        assert isinstance(asked, RankRequest)  # noqa: S101 - parse gives this for the route
        searching.check(asked)
        job = _job(asked.deadline_ms, self.settings.limits.search_seconds)
        answer = await self.search_lane.run(
            lambda: searching.run(asked, job, caller.authorization, fetch=route == "search"),
            job,
            partial(_gone, request),
        )
        self.metrics.stages(route, job.timings_ms)
        headers = {"warning": '299 - "degraded: bm25"'} if answer["degraded"] else None
        return _json(_dump(answer), headers=headers)

    async def models(self, request: Request, caller: Caller) -> Response:
        """Answer ``GET /v1/models``."""
        return _json(await asyncio.to_thread(self._models))

    def _models(self) -> bytes:
        loaded = self.pool.loaded()
        return _dump(
            {
                "models": [
                    {
                        "name": spec.name,
                        "kind": spec.kind,
                        "dimension": spec.dimension,
                        "inputs": list(spec.inputs),
                        "fingerprint": spec.fingerprint,
                        "present": is_present(spec),
                        "loaded": spec.fingerprint in loaded,
                    }
                    for spec in list_specs()
                ]
            }
        )

    async def live(self, request: Request, caller: Caller) -> Response:
        """Answer ``GET /health/live``."""
        return _json(_dump({"status": "alive", "checks": {}}))

    async def ready(self, request: Request, caller: Caller) -> Response:
        """Answer ``GET /health/ready``."""
        if self.readiness.draining:
            return _json(_dump({"status": "draining", "checks": {}}), status=503)
        problems = await asyncio.to_thread(self.readiness.problems)
        if problems:
            return _json(_dump({"status": "not_ready", "checks": problems}), status=503)
        return _json(_dump({"status": "ready", "checks": {}}))

    async def metrics_page(self, request: Request, caller: Caller) -> Response:
        """Answer ``GET /metrics``."""
        page = await asyncio.to_thread(self.metrics.render)
        return Response(page, headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request, caller: Caller) -> Response:
        """Answer ``GET /openapi.json``."""
        return _json(_dump(openapi.document()))

    async def _read(self, request: Request, route: str) -> EncodeFields | EncodeModel | RankRequest:
        limits = self.settings.limits
        try:
            async with asyncio.timeout(limits.body_seconds):
                body = await _body(request, limits.body_bytes)
        except TimeoutError:
            raise Refusal(408, "timed_out", "the body did not arrive in time") from None
        if len(body) > _HEAVY_BODY:
            return await asyncio.to_thread(parse, route, body)
        return parse(route, body)


Endpoint = Callable[[Request, Caller], Awaitable[Response]]


def create_app(service: Service) -> ASGIApp:
    """Return the ASGI application of a service."""
    routes: list[tuple[str, str, Endpoint]] = [
        ("POST", "/v1/encode", service.encode),
        ("POST", "/v1/rank", service.rank),
        ("POST", "/v1/search", service.search),
        ("GET", "/v1/models", service.models),
        ("GET", "/health/live", service.live),
        ("GET", "/health/ready", service.ready),
        ("GET", "/metrics", service.metrics_page),
        ("GET", "/openapi.json", service.openapi),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    app = Starlette(
        routes=[
            Route(path, partial(_handle, service, path, endpoint), methods=[method])
            for method, path, endpoint in routes
        ],
        exception_handlers={HTTPException: _not_found},
        lifespan=lifespan,
    )
    return _Measured(app, service, frozenset(path for _, path, _ in routes))


async def _handle(service: Service, path: str, endpoint: Endpoint, request: Request) -> Response:
    """Check what every request has to have, answer it, and turn what goes wrong into JSON."""
    try:
        caller = Caller(None)
        if path not in _OPEN:
            caller = identify(request.headers, service.settings.tokens)
            _check_protocol(request.headers)
        return await endpoint(request, caller)
    except ClientDisconnect:
        return Response(status_code=_GONE)
    except Exception as error:
        refusal = refusal_of(error)
        service.metrics.error(path, refusal.kind)
        if refusal.status >= 500:
            _log_failure(path, refusal, error)
        return _json(_dump(refusal.body()), status=refusal.status, headers=refusal.headers)


def _log_failure(path: str, refusal: Refusal, error: Exception) -> None:
    if refusal.kind == "internal":
        from ..errors import EnvironmentProblem

        told = str(error) if isinstance(error, EnvironmentProblem) else type(error).__name__
        _log.error("%s failed: %s at %s", path, told, frames(error))
    else:
        _log.warning("%s: %d %s: %s", path, refusal.status, refusal.kind, refusal.reason)


async def _not_found(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    reason = "there is no such address" if status == 404 else "this address does not take that method"
    return _json(_dump(Refusal(status, "invalid_input", reason).body()), status=status)


class _Measured:
    """Counts and times every request, limits how many there are, and marks every answer with the protocol."""

    def __init__(self, app: ASGIApp, service: Service, paths: frozenset[str]) -> None:
        self._app = app
        self._service = service
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service = self._service
        route = scope["path"] if scope["path"] in self._paths else "other"
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (_PROTOCOL_HEADER.encode(), PROTOCOL.encode())]
                if service.readiness.draining or status in (408, 413):
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        service.in_flight += 1
        service.metrics.opened(1)
        try:
            if route.startswith("/v1/") and service.in_flight > service.settings.limits.in_flight:
                service.metrics.rejected("service")
                refusal = busy("the service has too many calls at a time")
                service.metrics.error(route, refusal.kind)
                response = _json(_dump(refusal.body()), status=refusal.status, headers=refusal.headers)
                await response(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        finally:
            service.in_flight -= 1
            service.metrics.opened(-1)
            seconds = time.perf_counter() - started
            service.metrics.answered(route, status, seconds)
            if service.settings.access_log:
                _log.info("%s %s %d %.1f ms", scope["method"], route, status, seconds * 1000)


def _check_protocol(headers: Mapping[str, str]) -> None:
    spoken = headers.get(_PROTOCOL_HEADER)
    if spoken is not None and spoken != PROTOCOL:
        raise Refusal(
            400, "invalid_input", f"{_PROTOCOL_HEADER}: this service speaks protocol {PROTOCOL} only"
        )


async def _body(request: Request, limit: int) -> bytes:
    """Return the body, read no further than the limit."""
    too_large = Refusal(413, "too_large", f"body: over the limit of {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(400, "invalid_input", "body: it must not be compressed")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


async def _gone(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _job(asked_ms: int | None, most_seconds: float) -> Job:
    return Job(most_seconds if asked_ms is None else min(most_seconds, asked_ms / 1000))


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=_JSON)


def _json(content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, {"content-type": "application/json", **(headers or {})})

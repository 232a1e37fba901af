"""One process that answers requests: warm-up, serving, an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from ..encoder import EncoderPool, IndexEncoders, RerankerQuery
from ..errors import InvalidInput
from ..mappings import IndexDescription, Profile, SourceField, describe
from ..models import ModelSpec, load_spec
from ..search.rerank import RecordContent
from .app import Service, create_app
from .certificate import Certificate
from .settings import ServiceSettings

__all__ = ["BACKLOG", "set_up_log", "work"]

BACKLOG = 2048
"""Connections that the kernel holds until a worker takes them."""

_KEEP_ALIVE_SECONDS = 75


class _Server(uvicorn.Server):
    """Ends in order: no longer ready, then no new connections, then the calls in flight."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._ready = ready
        self._stop_at: float | None = None
        self._certificate = _watched(config, service.settings)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at SIGTERM; end at Ctrl-C or a second signal; give calls up at a third."""
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGINT or self._stop_at is not None:
            self.should_exit = True
        else:
            self._stop_at = time.monotonic() + self._service.settings.drain_seconds
        self._service.readiness.draining = True

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        if self._certificate is not None:
            self._certificate.look()
        return await super().on_tick(counter)


def _watched(config: uvicorn.Config, settings: ServiceSettings) -> Certificate | None:
    """Return what watches the certificate, and makes contexts as uvicorn does; None without TLS."""
    certificate, key = settings.certificate, settings.key
    if config.ssl is None or certificate is None or key is None:
        return None

    def load() -> ssl.SSLContext:
        context = ssl.SSLContext(config.ssl_version)
        context.load_cert_chain(certificate, key)
        if config.ssl_ciphers:
            context.set_ciphers(config.ssl_ciphers)
        return context

    return Certificate(config.ssl, load, certificate, key)


def work(settings: ServiceSettings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal comes.

    Args:
        settings: of the service.
        listener: a bound socket; it is listened to once the models are warm.
        ready: called when requests are answered.

    Raises:
        MultimodalError: a model cannot be loaded, an index cannot be read, or the certificate is not one.
    """
    set_up_log()
    service = Service(settings)
    try:
        _warm(service)
        config = uvicorn.Config(
            create_app(service),
            backlog=BACKLOG,
            ws="none",
            http="h11",  # httptools loses the body of a request that offers h2c, as Java's client does
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
        )
        try:
            config.load()
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(f"--tls-cert, --tls-key: not a certificate and its key: {error}") from error
        _Server(config, service, ready).run([listener])
    finally:
        service.close()


def _warm(service: Service) -> None:
    """Load the models that the settings name, and run each once."""
    specs = {spec.name: spec for spec in map(load_spec, service.settings.models)}
    for spec in specs.values():
        _run_once(service.pool, spec)
    for name in service.settings.indices:
        if service.cluster is None:
            raise InvalidInput("--index needs a cluster")
        index = describe(name, service.cluster.get_index(name))
        _check_models(index, service.pool)


def _check_models(index: IndexDescription, pool: EncoderPool) -> None:
    encoders = IndexEncoders(index, pool)
    for name, field in index.meta.fields.items():
        if isinstance(field, SourceField):
            encoders.get(name)
            _run_once(pool, load_spec(field.model))

    for profile in index.meta.profiles.values():
        if isinstance(profile, Profile) and profile.rerank and profile.rerank.model:
            _run_once(pool, load_spec(profile.rerank.model))


def _run_once(pool: EncoderPool, spec: ModelSpec) -> None:
    if spec.kind == "reranker":
        pool.reranker(spec).score(RerankerQuery("warm up"), [RecordContent("", "warm up")])
        return
    pool.get(spec).warm_up()


def set_up_log() -> None:
    """Write the service's own log, and of libraries only what went wrong: they quote what was sent."""
    handler = logging.StreamHandler(sys.stderr)
    form = f"%(asctime)s %(levelname)s [{os.getpid()}] %(message)s"
    handler.setFormatter(logging.Formatter(form))
    own = logging.getLogger("opensearch_multimodal.service")
    own.handlers, own.propagate = [handler], False
    own.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "opensearch", "opensearchpy.trace", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

"""What the operator decides about the service."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..client import Cluster
from ..errors import InvalidInput

__all__ = ["ClusterAccess", "ServiceLimits", "ServiceSettings"]


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How the service reaches the cluster: the arguments of `client.Cluster`."""

    url: str = field(repr=False)  # it may hold a password
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    verify: bool = True

    def connect(self, connections: int) -> Cluster:
        """Return a cluster with room for as many connections."""
        return Cluster(
            self.url,
            user=self.user,
            password=self.password,
            ca_file=self.ca_file,
            verify=self.verify,
            timeout=10.0,
            connections=connections,
        )


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What one call, and all calls together, may cost one worker.

    Attributes:
        body_bytes: size of a request's body.
        body_seconds: how long a client may take to send it.
        inputs: inputs of one encode call.
        text_chars: characters of one input, title included.
        call_chars: characters of all inputs of a call.
        pixels: pixels of one image, known before it is decoded.
        k: results of a search.
        search_seconds: the longest deadline of a search.
        encode_seconds: the longest deadline of an encode call.
        search_threads: searches that run at a time.
        query_threads: encode calls of queries that run at a time; passages run one call at a time.
        queue: calls that wait in each lane; more are answered with 429.
        in_flight: calls at a time in all, those whose body is still being read included.
    """

    body_bytes: int = 64 * 1024 * 1024
    body_seconds: float = 30.0
    inputs: int = 256
    text_chars: int = 100_000
    call_chars: int = 500_000
    pixels: int = 50_000_000
    k: int = 2_000
    search_seconds: float = 30.0
    encode_seconds: float = 3_600.0
    search_threads: int = 8
    query_threads: int = 2
    queue: int = 128
    in_flight: int = 512

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through; only the queue may be 0."""
        for name in self.__slots__:
            value = getattr(self, name)
            if value < 0 or (value == 0 and name != "queue"):
                raise InvalidInput(f"{name}: {value} is too small")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Everything that a worker needs to know; it is handed to worker processes.

    Attributes:
        cluster: the cluster to search, None for a service that only encodes.
        tokens: any of them opens the service; none: everybody may use it.
        require_authorization: refuse a search that brings no ``Authorization`` for the cluster.
        models: names of models to load before the first request.
        indices: indices whose models are loaded before the first request.
        provider: ONNX Runtime execution provider.
        threads: threads per model.
        limits: what calls may cost.
        drain_seconds: how long the service goes on answering after SIGTERM, no longer ready.
        grace_seconds: how long it then waits for calls in flight.
        description_seconds: how long it trusts what it read of an index.
        access_log: write a line per request.
        certificate: PEM file of the service's own certificate chain, None for plain HTTP.
        key: PEM file of its private key.
    """

    cluster: ClusterAccess | None = None
    tokens: tuple[str, ...] = field(default=(), repr=False)
    require_authorization: bool = False
    models: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    provider: str = "cpu"
    threads: int | None = None
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    drain_seconds: float = 0.0
    grace_seconds: float = 30.0
    description_seconds: float = 3.0
    access_log: bool = False
    certificate: str | None = None
    key: str | None = None

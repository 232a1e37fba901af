"""The HTTP service: encode, rank, search, health, metrics (extra ``service``)."""

from ..errors import MissingExtra
from .settings import ClusterAccess, ServiceLimits, ServiceSettings

try:
    from .app import Service, create_app
    from .security import check_exposure, read_tokens
    from .serve import serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("prometheus_client", "starlette", "uvicorn"):
        raise
    raise MissingExtra("the service", "service") from error

__all__ = [
    "ClusterAccess",
    "Service",
    "ServiceLimits",
    "ServiceSettings",
    "check_exposure",
    "create_app",
    "read_tokens",
    "serve",
]

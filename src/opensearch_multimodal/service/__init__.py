"""The HTTP service: encode, rank, search, health, metrics (extra ``service``)."""

from .app import Service, create_app
from .security import check_exposure, read_tokens
from .serve import serve
from .settings import ClusterAccess, ServiceLimits, ServiceSettings

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

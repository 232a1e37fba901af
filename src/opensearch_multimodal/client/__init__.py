"""The connection to a cluster: the only importer of opensearch-py and the one place that maps its errors."""

from .cluster import BulkItem, Cluster, Search, retrying
from .connection import map_error

__all__ = ["BulkItem", "Cluster", "Search", "map_error", "retrying"]

"""The embedded OpenSearch: fetched once, started on free loopback ports, stopped with all it started.

It never touches a cluster it did not start.
"""

from __future__ import annotations

from .distribution import ARTIFACTS, VERSION, distribution_folder, own_plugin
from .embedded import EmbeddedServer
from .folders import default_data_folder
from .java import MINIMUM_JAVA, find_java, java_version
from .state import Status, status, stop
from .user import server_user

__all__ = [
    "ARTIFACTS",
    "MINIMUM_JAVA",
    "VERSION",
    "EmbeddedServer",
    "Status",
    "default_data_folder",
    "distribution_folder",
    "find_java",
    "java_version",
    "own_plugin",
    "server_user",
    "status",
    "stop",
]

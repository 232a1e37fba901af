"""Options that several commands share, as decorators."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from ..client import Cluster
from ..errors import EnvironmentProblem, InvalidInput

__all__ = [
    "Access",
    "access_options",
    "cluster_options",
    "model_options",
    "parse_assignments",
    "parse_choices",
    "parse_numbers",
    "parse_object",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """What the options say of a cluster.

    Attributes:
        url: the cluster, None for the embedded server.
        user: user name.
        password: its password.
        ca_file: PEM file of the authority that signed the cluster's certificate.
        verify: whether the certificate is checked.
        data: data folder of the embedded server, None for the default one.
    """

    url: str | None
    user: str | None
    password: str | None = field(repr=False)
    ca_file: str | None
    verify: bool
    data: Path | None

    def find_url(self) -> str:
        """Return the cluster's URL.

        Raises:
            EnvironmentProblem: none is named and no embedded server is running.
        """
        return self.url or _embedded_url(self.data)


def cluster_options(command: F) -> F:
    """Add the options that name a cluster; the command receives a `Cluster` as ``cluster``."""

    @access_options
    @functools.wraps(command)
    def wrapper(*args: Any, access: Access, **kwargs: Any) -> Any:
        cluster = Cluster(
            access.find_url(),
            user=access.user,
            password=access.password,
            ca_file=access.ca_file,
            verify=access.verify,
        )
        try:
            return command(*args, cluster=cluster, **kwargs)
        finally:
            cluster.close()

    return wrapper  # type: ignore[return-value]


def access_options(command: F) -> F:
    """Add the options that name a cluster; the command receives what they say as ``access``."""

    @click.option(
        "--url",
        envvar="OPENSEARCH_URL",
        show_envvar=True,
        help="The cluster; default: the embedded server that is running.",
    )
    @click.option("--user", envvar="OPENSEARCH_USER", show_envvar=True, help="User name.")
    @click.option("--password", envvar="OPENSEARCH_PASSWORD", show_envvar=True, help="Password.")
    @click.option(
        "--ca-file",
        envvar="OPENSEARCH_CA_FILE",
        show_envvar=True,
        type=click.Path(exists=True, dir_okay=False),
        help="PEM file of the authority that signed the cluster's certificate.",
    )
    @click.option("--insecure", is_flag=True, help="Accept any certificate. For tests only.")
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Data folder of the embedded server, where it is not the default one.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        url: str | None,
        user: str | None,
        password: str | None,
        ca_file: str | None,
        insecure: bool,
        data: Path | None,
        **kwargs: Any,
    ) -> Any:
        access = Access(url, user, password, ca_file, not insecure, data)
        return command(*args, access=access, **kwargs)

    return wrapper  # type: ignore[return-value]


def model_options(command: F) -> F:
    """Add the options that say how models run: ``provider`` and ``threads``."""
    threads = click.option(
        "--threads", type=click.IntRange(min=1), help="Threads per model; default: one per core."
    )
    provider = click.option(
        "--provider", default="cpu", show_default=True, help="ONNX Runtime execution provider, such as cuda."
    )
    return provider(threads(command))


def parse_assignments(option: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Read repeated ``NAME=VALUE`` options.

    Raises:
        InvalidInput: one of them is not of that form.
    """
    parsed: list[tuple[str, str]] = []
    for value in values:
        name, separator, rest = value.partition("=")
        if not separator or not name or not rest:
            raise InvalidInput(f"--{option}: expected NAME=VALUE, got '{value}'")
        parsed.append((name, rest))
    return parsed


def parse_choices(option: str, values: tuple[str, ...]) -> dict[str, str]:
    """Read repeated ``NAME=VALUE`` options of which each name may come once.

    Raises:
        InvalidInput: one of them is not of that form, or a name comes twice.
    """
    pairs = parse_assignments(option, values)
    for name, _ in pairs:
        if sum(other == name for other, _ in pairs) > 1:
            raise InvalidInput(f"--{option}: '{name}' is given more than once")
    return dict(pairs)


def parse_numbers(option: str, values: tuple[str, ...]) -> dict[str, int]:
    """Read repeated ``NAME=NUMBER`` options of which each name may come once.

    Raises:
        InvalidInput: one of them is not of that form, or a name comes twice.
    """
    numbers: dict[str, int] = {}
    for name, value in parse_choices(option, values).items():
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise InvalidInput(f"--{option}: expected NAME=NUMBER, got '{name}={value}'")
        numbers[name] = int(value)
    return numbers


def parse_object(option: str, value: str | None) -> dict[str, Any] | None:
    """Read an option that holds a JSON object; None stays None.

    Raises:
        InvalidInput: it is not JSON, or not an object.
    """
    if value is None:
        return None
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise InvalidInput(f"--{option}: not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidInput(f"--{option}: expected a JSON object, got {type(parsed).__name__}")
    return parsed


def _embedded_url(data: Path | None) -> str:
    from ..server import default_data_folder, status

    running = status(data or default_data_folder())
    if running is None:
        raise EnvironmentProblem(
            "no cluster: 'osmm server start' starts one, --url or OPENSEARCH_URL names yours"
        )
    return running.url

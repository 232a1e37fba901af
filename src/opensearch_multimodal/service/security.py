"""Who may use the service, and in whose name it searches."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import EnvironmentProblem, InvalidInput
from .refusal import Refusal, unauthorized

__all__ = ["TOKEN_HEADER", "Caller", "check_exposure", "identify", "read_tokens"]

TOKEN_HEADER = "x-multimodal-token"  # noqa: S105 - a header's name
"""The header that carries the service's own token."""

_SHORTEST = 16
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request.

    Attributes:
        authorization: the caller's own credentials for the cluster, None without.
    """

    authorization: str | None


def read_tokens(path: Path | None, value: str | None) -> tuple[str, ...]:
    """Return the service's tokens: one per line of a file, else the one given.

    Several lines let clients change from one token to the next while the service runs with both.

    Raises:
        EnvironmentProblem: the file cannot be read.
        InvalidInput: it holds no token, or one that is too short or no ASCII word.
    """
    if path is None:
        tokens = [value.strip()] if value is not None else []
    else:
        try:
            tokens = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
        except UnicodeDecodeError:
            raise InvalidInput(f"token: {path} is not ASCII") from None
        except OSError as error:
            raise EnvironmentProblem(f"token: {path} cannot be read: {error.strerror}") from error
        if not tokens:
            raise InvalidInput(f"token: {path} is empty")
    for token in tokens:
        if len(token) < _SHORTEST:
            raise InvalidInput(f"token: {len(token)} characters are too few, it needs {_SHORTEST}")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidInput("token: only ASCII letters, digits and signs, no spaces")
    return tuple(tokens)


def check_exposure(host: str, tokens: Sequence[str], *, allow_anonymous: bool) -> None:
    """Refuse to listen for the network without a token.

    Raises:
        InvalidInput: the address is not a loopback address, there is no token, and it is not allowed.
    """
    if tokens or allow_anonymous or _is_loopback(host):
        return
    raise InvalidInput(
        f"--host: {host} can be reached from other machines, and there is no token: "
        "give --token-file, or --allow-anonymous to let everybody in"
    )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise InvalidInput(f"--host: '{host}' is not an address of this machine") from error
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def identify(headers: Mapping[str, str], tokens: Sequence[str]) -> Caller:
    """Return who sent a request.

    The service's token comes in ``X-Multimodal-Token``, or as ``Authorization: Bearer`` where the header is
    not needed for the cluster. It is never passed on.

    Args:
        headers: of the request, names in lower case.
        tokens: those that open the service; none: everybody may come in.

    Raises:
        Refusal: the token is missing or wrong; or there is none to ask for and a browser sends the request,
            as any page that somebody looks at could make it do.
    """
    authorization = headers.get("authorization")
    given = headers.get(TOKEN_HEADER)
    if not tokens:
        if "origin" in headers:
            raise Refusal(403, "unauthorized", "without a token this service does not answer to web pages")
        return Caller(authorization)
    if given is None and authorization and authorization[: len(_BEARER)].lower() == _BEARER:
        given, authorization = authorization[len(_BEARER) :].strip(), None
    if given is None:
        raise unauthorized("this service asks for its token in X-Multimodal-Token")
    # Every token is compared, so that time tells nothing.
    matches = [hmac.compare_digest(given.encode("latin-1", "replace"), token.encode()) for token in tokens]
    if not any(matches):
        raise unauthorized("the token is wrong")
    return Caller(authorization)

"""Values that others wrote: JSON objects, access lists and texts, checked and cleaned."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn

from ..errors import InvalidInput

__all__ = ["clean", "digest", "parse_acl", "parse_object", "take_metadata", "take_text"]

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")
_MAX_DEPTH = 20
_MAX_KEYS = 1_000


def clean(text: str) -> str:
    """Return ``text`` without characters that JSON, UTF-8 or a terminal could stumble over."""
    return _CONTROL.sub("", text)


def digest(value: Any) -> str:
    """Return the sha256 of a JSON value, the same for the same value on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def parse_object(data: bytes) -> dict[str, Any]:
    """Return a JSON object, cleaned; the errors quote nothing of it.

    Raises:
        InvalidInput: not UTF-8, not JSON, not an object, nested deeper than 20, or of very many keys.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidInput("not valid UTF-8") from None
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput(f"nested deeper than {_MAX_DEPTH}") from None
    except ValueError as error:
        where = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"not valid JSON{where}") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"a JSON object is needed, not {_kind(value)}")
    cleaned: dict[str, Any] = _cleaned(value, 1)
    return cleaned


def take_text(values: dict[str, Any], key: str) -> str:
    """Remove ``key`` and return its text, empty where it is missing or null.

    Raises:
        InvalidInput: it is not a string.
    """
    value = values.pop(key, None)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{key}: a string is needed, not {_kind(value)}")
    return value


def take_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of ``values`` with the members of an object named ``metadata`` beside it.

    Raises:
        InvalidInput: there are very many keys.
    """
    inner = values.pop("metadata", None)
    merged = {**values, **inner} if isinstance(inner, dict) else values
    if inner and not isinstance(inner, dict):
        merged = {**values, "metadata": inner}
    if len(merged) > _MAX_KEYS:
        raise InvalidInput(f"{len(merged):,} metadata keys are over the limit of {_MAX_KEYS:,}")
    return merged


def parse_acl(value: Any) -> tuple[str, ...]:
    """Return an access list given as one name or a list of names, without repetitions.

    Raises:
        InvalidInput: anything else; an unreadable access list must never become an open one.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidInput("acl: a name or a list of names is needed")
    return tuple(dict.fromkeys(name.strip() for name in names))


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidInput("not valid JSON (a number is NaN or infinite)")


def _cleaned(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"nested deeper than {_MAX_DEPTH}")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item, depth + 1) for key, item in value.items()}
    return value


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array" if isinstance(value, list) else "an object")

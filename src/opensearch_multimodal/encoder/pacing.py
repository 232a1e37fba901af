"""Who may run a model now: a caller's say in when each batch runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeAlias

__all__ = ["Around", "pace", "paced"]

Around: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Gives the context in which one batch runs; entering it may wait, or raise to stop the encoding."""

_around: ContextVar[Around] = ContextVar("around", default=nullcontext)


@contextmanager
def paced(around: Around) -> Iterator[None]:
    """Run every batch that this thread encodes inside the block in a context of the caller's.

    A long encoding is many batches of about a thousand tokens: between two of them it can make way for
    others, or end because nobody waits for it any more.
    """
    token = _around.set(around)
    try:
        yield
    finally:
        _around.reset(token)


def pace() -> AbstractContextManager[None]:
    """Return the context of the next batch."""
    return _around.get()()

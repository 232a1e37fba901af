"""One BLAS thread for our small matrices.

A query's matrices are so small that waking and awaiting a pool of BLAS threads costs several times what the
products cost, in CPU time most of all: the idle threads spin. ONNX Runtime has threads of its own and is not
touched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["single_threaded"]

_lock = threading.Lock()
_inside = 0
_restore: Any = None


@cache
def _controller() -> ThreadpoolController:
    """Return the controller; finding the libraries takes milliseconds, so it is done once."""
    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let BLAS use one thread inside the block, whichever thread of ours enters it.

    The setting belongs to the process. Blocks may nest and overlap: the first in sets it, the last out
    restores what was there.
    """
    global _inside, _restore
    with _lock:
        _inside += 1
        if _inside == 1:
            _restore = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore.restore_original_limits()
                _restore = None

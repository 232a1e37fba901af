"""BLAS runs on one thread inside the block, and as before after it."""

import numpy as np
from threadpoolctl import ThreadpoolController

from opensearch_multimodal.blas import single_threaded


def blas_threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [
        library["num_threads"] for library in ThreadpoolController().info() if library["user_api"] == "blas"
    ]


def test_one_thread_inside_and_as_before_outside() -> None:
    before = blas_threads()
    assert before
    with single_threaded():
        assert blas_threads() == [1] * len(before)
        with single_threaded():
            assert blas_threads() == [1] * len(before)
        assert blas_threads() == [1] * len(before)
    assert blas_threads() == before


def test_overlapping_blocks_restore_at_the_last_exit() -> None:
    before = blas_threads()
    first, second = single_threaded(), single_threaded()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == [1] * len(before)
    second.__exit__(None, None, None)
    assert blas_threads() == before

"""A caller's say in when each batch runs, and encoders that are loaded once for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tiny_index
from homes import home, tiny_home

from opensearch_multimodal.encoder import EncoderPool, OnnxEncoder, paced
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import load_spec

__all__ = ["home", "tiny_home"]

Load = Callable[..., OnnxEncoder]
LONG = [" ".join(["alpha"] * 100)] * 50


def test_every_batch_asks_first_and_gives_the_same_vectors(tiny_encoder: Load) -> None:
    loaded = tiny_encoder()
    expected = loaded.encode_passages(LONG)
    asked = []

    @contextmanager
    def around() -> Iterator[None]:
        asked.append("begin")
        yield
        asked.append("end")

    with paced(around):
        np.testing.assert_array_equal(loaded.encode_passages(LONG), expected)
    assert asked == ["begin", "end"] * (len(asked) // 2)
    assert len(asked) // 2 >= 50 * 100 // 1024  # batches hold about 1,024 tokens
    asked.clear()
    loaded.encode_passages(LONG)
    assert asked == []


def test_a_batch_may_be_refused_and_other_threads_do_not_notice(tiny_encoder: Load) -> None:
    loaded = tiny_encoder()
    left = [2]

    @contextmanager
    def around() -> Iterator[None]:
        left[0] -= 1
        if left[0] < 0:
            raise InvalidInput("nobody waits any more")
        yield

    with ThreadPoolExecutor(1) as other, paced(around):
        with pytest.raises(InvalidInput, match="nobody waits"):
            loaded.encode_passages(LONG)
        assert len(other.submit(loaded.encode_passages, LONG).result()) == len(LONG)
    assert left == [-1]


def test_a_pool_loads_a_model_once_for_all_threads(home: Path) -> None:
    pool = EncoderPool()
    spec = load_spec(tiny_index.DENSE)
    assert pool.loaded() == frozenset()
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: pool.get(spec), range(16)))
    assert all(encoder is got[0] for encoder in got)
    assert pool.loaded() == {spec.fingerprint}

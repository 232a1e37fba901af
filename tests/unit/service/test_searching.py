"""The encoders of one query: until when they may run."""

from __future__ import annotations

import time

import pytest

from opensearch_multimodal.encoder import EncoderPool
from opensearch_multimodal.service.lanes import Gate, Job
from opensearch_multimodal.service.refusal import Refusal
from opensearch_multimodal.service.searching import _NotEncodedError, _QueryPool


def test_a_query_is_encoded_in_time_and_reranked_after_it() -> None:
    job = Job(30)
    pool = _QueryPool(EncoderPool(), Gate(), job, until=time.monotonic() - 1)
    with pytest.raises(_NotEncodedError, match="not encoded in time"), pool.around():
        pass
    pool.query_encoded()
    with pool.around():
        pass
    job.abandon()
    with pytest.raises(Refusal), pool.around():
        pass

from hypothesis import given
from hypothesis import strategies as st

from opensearch_multimodal.encoder.batches import CPU, plan_batches


@given(lengths=st.lists(st.integers(1, 9000)), most=st.integers(1, 40), equal=st.booleans())
def test_every_sequence_once_longest_first_and_within_the_budget(
    lengths: list[int], most: int, equal: bool
) -> None:
    batches = list(plan_batches(lengths, most=most, equal=equal))
    order = [position for batch in batches for position in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[p] for p in order] == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= CPU.tokens
        assert not equal or len({lengths[p] for p in batch}) == 1


def test_large_items_run_alone_and_small_ones_share_the_budget() -> None:
    assert list(plan_batches([90, 100, 10, 30, 300], budget=100)) == [[4], [1], [0], [3, 2]]
    assert list(plan_batches([5] * 4, budget=100, most=3)) == [[0, 1, 2], [3]]


def test_short_texts_fill_a_batch() -> None:
    assert [len(batch) for batch in plan_batches([3] * (CPU.items + 1))] == [CPU.items, 1]

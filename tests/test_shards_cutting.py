"""Shards begin at batches, hold every sample once, and are as many or as large as asked."""

from hypothesis import given
from hypothesis import strategies as st

from quantlab.study.shards.cutting import cut
from quantlab.types import Shard

_SIZES = st.integers(1, 300)


@given(n=st.integers(1, 2000), batch_size=_SIZES, shards=st.none() | _SIZES, shard_size=st.none() | _SIZES)
def test_shards_are_whole_batches_one_behind_the_other(n, batch_size, shards, shard_size):
    parts = cut(n, batch_size=batch_size, shards=shards, shard_size=shard_size)
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(n))
    assert all(part.count > 0 and part.start % batch_size == 0 for part in parts)


@given(n=st.integers(1, 2000), batch_size=_SIZES, shards=_SIZES)
def test_the_number_of_shards_is_that_asked_for_or_that_of_batches(n, batch_size, shards):
    parts = cut(n, batch_size=batch_size, shards=shards, shard_size=None)
    assert len(parts) == min(shards, -(-n // batch_size))
    batches = [-(-part.count // batch_size) for part in parts]
    assert max(batches) - min(batches) <= 1


@given(n=st.integers(1, 1000), more=st.integers(0, 1000), batch_size=_SIZES, shard_size=_SIZES)
def test_shards_of_a_size_stay_where_they_are_when_samples_are_added(n, more, batch_size, shard_size):
    before = cut(n, batch_size=batch_size, shards=None, shard_size=shard_size)
    after = cut(n + more, batch_size=batch_size, shards=None, shard_size=shard_size)
    assert before[:-1] == after[: len(before) - 1]


def test_one_shard_of_few_samples():
    assert cut(5, batch_size=32, shards=3, shard_size=None) == (Shard(0, 5),)

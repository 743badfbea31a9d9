"""Cuts the samples of a study into shards."""

from collections.abc import Sequence
from itertools import pairwise

from quantlab.types import Shard

__all__ = ["cut", "is_cut_of"]


def cut(n: int, *, batch_size: int, shards: int | None, shard_size: int | None) -> tuple[Shard, ...]:
    """Cut n samples into ranges that begin at multiples of the batch size.

    So every batch is one of the study without shards, and its outputs are the same bytes.

    Args:
        n: Number of samples, at least 1.
        batch_size: Most samples of a batch of any run.
        shards: Number of shards, which differ by one batch at most; fewer if there are fewer batches.
        shard_size: Samples of each shard but the last, rounded up to whole batches; used if `shards` is None.

    >>> [(one.start, one.stop) for one in cut(100, batch_size=32, shards=3, shard_size=None)]
    [(0, 32), (32, 64), (64, 100)]
    >>> [one.count for one in cut(100, batch_size=32, shards=None, shard_size=40)]
    [64, 36]
    """
    batches = -(-n // batch_size)
    if shards is not None:
        number = min(shards, batches)
        edges = [batches * place // number for place in range(number + 1)]
    else:
        step = -(-(shard_size or n) // batch_size)
        edges = [*range(0, batches, step), batches]
    return tuple(Shard(first * batch_size, min(last * batch_size, n)) for first, last in pairwise(edges))


def is_cut_of(shards: Sequence[Shard], n: int, *, batch_size: int) -> bool:
    """Whether shards hold each of n samples once, in order, and begin at multiples of the batch size.

    >>> is_cut_of([Shard(0, 64), Shard(64, 100)], 100, batch_size=32)
    True
    >>> is_cut_of([Shard(0, 64), Shard(64, 100)], 120, batch_size=32)
    False
    """
    ends = [0, *(shard.stop for shard in shards)]
    starts = [*(shard.start for shard in shards), n]
    return ends == starts and all(shard.count > 0 and shard.start % batch_size == 0 for shard in shards)

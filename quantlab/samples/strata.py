"""How many samples of each class are drawn, and in which order samples are scored."""

import numpy as np

from quantlab.samples.source import Array

__all__ = [
    "SCORING_BLOCK",
    "in_blocks",
    "keys_of",
    "proportional_shares",
    "scoring_order",
    "shares_that_spare",
    "strata_of",
    "with_classes",
]

SCORING_BLOCK = 1000
"""Samples of the scoring order that are stored together, in the order of the source.

Limits are round numbers. So the samples of a smaller limit are mostly whole blocks, and those of a larger one follow.
"""


def keys_of(n: int, *, seed: int, stream: int) -> tuple[Array, np.random.Generator]:
    """Random numbers by which n samples are ordered, (n,) float64, and the generator they came from."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,))))
    return generator.random(n), generator


def with_classes(labels: Array | None) -> bool:
    """Whether each sample has a class; a sample with a class for each position has none itself."""
    return labels is not None and labels.ndim == 1 and labels.dtype.kind in "biu"


def strata_of(labels: Array | None, n: int) -> Array:
    """Number of each sample's stratum, (n,): its class counted from 0, or 0 for all samples without classes."""
    if labels is None or not with_classes(labels):
        return np.zeros(n, dtype=np.int64)
    return np.unique(labels, return_inverse=True)[1]


def proportional_shares(count: int, sizes: Array) -> Array:
    """Divide `count` in proportion to `sizes`, in integers, by the largest remainder method; ties go to the first."""
    shares, remainders = np.divmod(count * sizes.astype(np.int64), int(sizes.sum()))
    missing = count - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return shares


def shares_that_spare(count: int, sizes: Array) -> Array:
    """Divide `count` like `proportional_shares`, but take at least one of each stratum, and leave at least one.

    A stratum of one sample is left alone. What contradicts `count` is given up: leaving one of each if there are too
    few others, and taking one of each if there are more strata than `count`.

    >>> proportional_shares(4, np.array([90, 1, 2])).tolist(), shares_that_spare(4, np.array([90, 1, 2])).tolist()
    ([4, 0, 0], [3, 0, 1])

    Args:
        count: From 0 to the sum of `sizes`.
        sizes: (strata,), samples of each stratum, at least 1.
    """
    most = sizes - 1 if int(sizes.sum()) - len(sizes) >= count else sizes
    least = np.minimum(1, most)
    if int(least.sum()) > count:
        least = np.zeros_like(most)
    quotas = count * sizes.astype(np.int64)  # times the number of samples, so that they are integers
    total = int(sizes.sum())
    shares = np.clip(proportional_shares(count, sizes), least, most)
    while (missing := count - int(shares.sum())) != 0:
        above = shares * total - quotas
        if missing > 0:
            place = np.argmin(np.where(shares < most, above, np.iinfo(np.int64).max))
        else:
            place = np.argmax(np.where(shares > least, above, np.iinfo(np.int64).min))
        shares[place] += np.sign(missing)
    return shares


def scoring_order(n: int, *, labels: Array | None, seed: int, stream: int) -> Array:
    """The fixed random order in which n samples are scored, as a permutation of their positions, (n,) int64.

    A study of more samples has those of a shorter one and others, so that it continues it. Every beginning of the order
    is stratified: first one sample of every class, then the others so that each class advances in proportion to its
    size. Sample r of a class of m, counted from 0, has the place (r + u) / m, with one random u from 0 to 1 for each
    class: systematic sampling with a random start (Cochran 1977, Sampling Techniques, chapter 8).

    Without classes, all orders are equally likely.
    """
    keys, generator = keys_of(n, seed=seed, stream=stream)
    strata = strata_of(labels, n)
    sizes = np.bincount(strata)
    by_class = np.lexsort((keys, strata))
    rank = np.empty(n, dtype=np.int64)
    rank[by_class] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = (rank + generator.random(len(sizes))[strata]) / sizes[strata]
    order: Array = np.lexsort((keys, places, rank > 0))
    return order


def in_blocks(order: Array) -> Array:
    """Sort each block of `SCORING_BLOCK` positions, so that the blocks of a beginning are those of the whole.

    Within a block, samples lie in the order of the source, as they are read.

    >>> order = np.arange(2500)[::-1]
    >>> in_blocks(order)[[0, 999, 1000, 1999, 2000, 2499]].tolist()
    [1500, 2499, 500, 1499, 0, 499]

    Args:
        order: (n,): different positions, in the order in which they are scored.
    """
    blocks = [np.sort(order[start : start + SCORING_BLOCK]) for start in range(0, len(order), SCORING_BLOCK)]
    return np.concatenate(blocks) if blocks else order

"""Which samples are scored and which calibrate: drawn by seed and label, never cut."""

from dataclasses import dataclass

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.samples.source import Array, SampleOptions, Source

SCORED, CALIBRATION = 0, 1
"""Streams of random numbers, so that one draw says nothing about the other."""


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of a source that belong together."""

    name: str
    """The folder it is written to: `data`, `calibration`."""
    indices: Array
    """Positions in the source, int64, ascending."""
    drawn: str
    """How they were chosen, in words."""


def draw(count: int, *, n: int, labels: Array | None, seed: int, stream: int = SCORED) -> Array:
    """Choose `count` of `n` positions, ascending; the same for the same seed and stream.

    With integer labels each class gets its share, rounded up or down so that the sum is `count` (largest remainder,
    the lower class first among equals). Without, or with floats, all positions are alike.

    Args:
        count: From 0 to n.
        labels: (n,) integers, or anything else to draw without regard to them.
    """
    keys = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,)))).random(n)
    strata = _strata(labels, n)
    sizes = np.bincount(strata)
    order = np.lexsort((keys, strata))
    rank = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < np.repeat(_shares(count, sizes), sizes)])


def _strata(labels: Array | None, n: int) -> Array:
    if labels is None or not _classes(labels):
        return np.zeros(n, dtype=np.int64)
    return np.unique(labels, return_inverse=True)[1]


def _shares(count: int, sizes: Array) -> Array:
    """`count` divided in proportion to sizes by largest remainder, in integers."""
    shares, remainders = np.divmod(count * sizes.astype(np.int64), int(sizes.sum()))
    missing = count - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return shares


def _classes(labels: Array | None) -> bool:
    return labels is not None and labels.dtype.kind in "biu"


def split(source: Source, *, options: SampleOptions, calibrate: int) -> tuple[Part, Part | None]:
    """The part that is scored, and the part of `calibrate` others for static quantization (None for 0).

    The calibration part does not depend on the limit. Of fewer than 2 × `calibrate` samples it takes a quarter
    at most, at least one, and says so.

    Raises:
        UsageError: If the limit is under 1 or the seed negative.
        SamplesError: If one sample would have to be both.
    """
    _check_options(options)
    everything = np.arange(source.n, dtype=np.int64)
    words = f"{'stratified' if _classes(source.labels) else 'random'}, seed {options.seed}"
    calibration = _calibration(source, options.seed, calibrate=calibrate, words=words) if calibrate else None
    rest = np.setdiff1d(everything, calibration.indices, assume_unique=True) if calibration else everything
    scored = rest
    if options.limit is not None and options.limit < len(rest):
        labels = None if source.labels is None else source.labels[rest]
        scored = rest[draw(options.limit, n=len(rest), labels=labels, seed=options.seed)]
    return Part("data", scored, "all" if len(scored) == source.n else words), calibration


def _calibration(source: Source, seed: int, *, calibrate: int, words: str) -> Part:
    if source.n < 2:
        raise SamplesError(
            f"'{source.text}' holds one sample, which cannot both calibrate and be scored; "
            "give more, or other samples with --calibration"
        )
    few = source.n < 2 * calibrate
    count = max(1, source.n // 4) if few else calibrate
    note = f"; a quarter of the samples, since {calibrate} would be more than half of {source.n}" if few else ""
    indices = draw(count, n=source.n, labels=source.labels, seed=seed, stream=CALIBRATION)
    return Part("calibration", indices, words + note)


def _check_options(options: SampleOptions) -> None:
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"the limit is {options.limit}, and at least 1 sample must be scored; give more, or no limit")
    if options.seed < 0:
        raise UsageError(f"the seed is {options.seed}, and seeds count from 0; give another")

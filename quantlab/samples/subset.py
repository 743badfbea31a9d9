"""Selects samples for scoring and for calibration: seeded random samples, stratified by label."""

from dataclasses import dataclass

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import counted
from quantlab.samples.source import Array, SampleOptions, Source

SCORED, CALIBRATION, SEARCH = 0, 1, 3
"""Separate streams of random numbers, so that the selections are independent; 2 is that of layer samples."""
SEARCH_SAMPLES = 1000
"""Most samples that are set aside for a search."""


@dataclass(frozen=True, slots=True)
class Part:
    """A selection of a source's samples."""

    name: str
    """Name of its folder: `data`, `calibration` or `search`."""
    indices: Array
    """Ascending positions in the source, int64."""
    drawn: str
    """How they were selected, in words."""


def draw(count: int, *, n: int, labels: Array | None, seed: int, stream: int = SCORED) -> Array:
    """Select `count` of `n` positions at random, in ascending order; deterministic for a seed and stream.

    With integer labels the sample is stratified: each class gets its proportional share, rounded by the largest
    remainder method so that the sum is `count` (ties go to the lower class). Otherwise positions are equally likely.

    Args:
        count: From 0 to n.
        labels: (n,) integers to stratify by; None, floats or classes of positions for no stratification.
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
    """Divide `count` in proportion to `sizes`, in integers, by the largest remainder method."""
    shares, remainders = np.divmod(count * sizes.astype(np.int64), int(sizes.sum()))
    missing = count - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return shares


def _classes(labels: Array | None) -> bool:
    """Whether each sample has a class; a sample with a class for each position has none itself."""
    return labels is not None and labels.ndim == 1 and labels.dtype.kind in "biu"


@dataclass(frozen=True, slots=True)
class Parts:
    """Separate selections of a source's samples."""

    scored: Part
    calibration: Part | None
    search: Part | None

    @property
    def all(self) -> tuple[Part, ...]:
        """Those that there are."""
        return tuple(part for part in (self.scored, self.calibration, self.search) if part is not None)


def split(source: Source, *, options: SampleOptions, calibrate: int) -> Parts:
    """The part to score, and separate parts for static quantization and for a search.

    The calibration part has `calibrate` samples (None for 0) and does not depend on the limit. With fewer than
    2 × `calibrate` samples it is limited to a quarter of them, but at least one, and its description says so. The
    search part, if there is one, has a third of the others, at most `SEARCH_SAMPLES`.

    Raises:
        UsageError: If the limit is below 1, or the seed is negative.
        SamplesError: If there are not enough samples for each part to have one.
    """
    _check_options(options)
    everything = np.arange(source.n, dtype=np.int64)
    words = f"{'stratified' if _classes(source.labels) else 'random'}, seed {options.seed}"
    calibration = _calibration(source, options.seed, calibrate=calibrate, words=words) if calibrate else None
    rest = np.setdiff1d(everything, calibration.indices, assume_unique=True) if calibration else everything
    search = _search(source, rest, options, words) if options.search else None
    rest = np.setdiff1d(rest, search.indices, assume_unique=True) if search else rest
    scored = rest
    if options.limit is not None and options.limit < len(rest):
        labels = None if source.labels is None else source.labels[rest]
        scored = rest[draw(options.limit, n=len(rest), labels=labels, seed=options.seed)]
    return Parts(Part("data", scored, "all" if len(scored) == source.n else words), calibration, search)


def _search(source: Source, rest: Array, options: SampleOptions, words: str) -> Part:
    count = min(len(rest) // 3, SEARCH_SAMPLES)
    if count == 0:
        raise SamplesError(
            f"'{source.text}' leaves {counted(len(rest), 'sample')}, which cannot be divided into samples for the "
            f"search and others for the verdict; give at least 3, and several hundred for meaningful figures"
        )
    labels = None if source.labels is None else source.labels[rest]
    chosen = rest[draw(count, n=len(rest), labels=labels, seed=options.seed, stream=SEARCH)]
    return Part("search", chosen, words)


def _calibration(source: Source, seed: int, *, calibrate: int, words: str) -> Part:
    if source.n < 2:
        raise SamplesError(
            f"'{source.text}' holds one sample, which cannot be used for both calibration and scoring; "
            "give more samples, or separate ones with --calibration"
        )
    few = source.n < 2 * calibrate
    count = max(1, source.n // 4) if few else calibrate
    note = f"; a quarter of the samples, because {calibrate} would be more than half of {source.n}" if few else ""
    indices = draw(count, n=source.n, labels=source.labels, seed=seed, stream=CALIBRATION)
    return Part("calibration", indices, words + note)


def _check_options(options: SampleOptions) -> None:
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"the limit is {options.limit}, and at least 1 sample must be scored; give more, or no limit")
    if options.seed < 0:
        raise UsageError(f"the seed is {options.seed}; give 0 or a positive number")

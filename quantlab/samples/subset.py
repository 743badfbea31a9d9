"""Selects samples for scoring and for calibration: seeded random samples, stratified by label."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import counted
from quantlab.samples.source import Array, SampleOptions, Source
from quantlab.samples.strata import (
    in_blocks,
    keys_of,
    proportional_shares,
    scoring_order,
    shares_that_spare,
    strata_of,
    with_classes,
)

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
    """Different positions in the source, int64, in the order in which the samples are stored."""
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
    return _drawn(count, strata_of(labels, n), proportional_shares, seed=seed, stream=stream)


def set_aside(count: int, *, labels: Array | None, among: Array, seed: int, stream: int) -> Array:
    """Select `count` of the positions `among` at random like `draw`, and leave a sample of every class.

    Both the selection and the rest have at least one sample of every class, as far as the samples suffice; a class of
    one sample stays in the rest.

    Args:
        count: From 0 to the number of positions.
        labels: Those of all samples; see `draw`.
        among: Ascending positions.
    """
    strata = strata_of(None if labels is None else labels[among], len(among))
    return among[_drawn(count, strata, shares_that_spare, seed=seed, stream=stream)]


def _drawn(count: int, strata: Array, share: Callable[[int, Array], Array], *, seed: int, stream: int) -> Array:
    n = len(strata)
    keys, _ = keys_of(n, seed=seed, stream=stream)
    sizes = np.bincount(strata)
    order = np.lexsort((keys, strata))
    rank = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < np.repeat(share(count, sizes), sizes)])


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
    search part, if there is one, has a third of the others, at most `SEARCH_SAMPLES`. The scored part is the beginning
    of `scoring_order`, stored in blocks (see `in_blocks`), so that a higher limit adds samples behind the others. All
    other parts, and the scored one without a limit, are in the order of the source. Each part has at least one sample
    of every class as far as they suffice; of few samples, the scored part has them first.

    Raises:
        UsageError: If the limit is below 1, or the seed is negative.
        SamplesError: If there are not enough samples for each part to have one.
    """
    check_options(options)
    everything = np.arange(source.n, dtype=np.int64)
    words = f"{'stratified' if with_classes(source.labels) else 'random'}, seed {options.seed}"
    calibration = _calibration(source, options.seed, calibrate=calibrate, words=words) if calibrate else None
    rest = np.setdiff1d(everything, calibration.indices, assume_unique=True) if calibration else everything
    search = _search(source, rest, options, words) if options.search else None
    rest = np.setdiff1d(rest, search.indices, assume_unique=True) if search else rest
    scored = rest
    if options.limit is not None:  # even one that is never reached, so that a study grows until it has all
        labels = None if source.labels is None else source.labels[rest]
        order = scoring_order(len(rest), labels=labels, seed=options.seed, stream=SCORED)
        scored = in_blocks(rest[order[: options.limit]])
    return Parts(Part("data", scored, "all" if len(scored) == source.n else words), calibration, search)


def _search(source: Source, rest: Array, options: SampleOptions, words: str) -> Part:
    count = min(len(rest) // 3, SEARCH_SAMPLES)
    if count == 0:
        raise SamplesError(
            f"'{source.text}' leaves {counted(len(rest), 'sample')}, which cannot be divided into samples for the "
            f"search and others for the verdict; give at least 3, and several hundred for meaningful figures"
        )
    chosen = set_aside(count, labels=source.labels, among=rest, seed=options.seed, stream=SEARCH)
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
    everything = np.arange(source.n, dtype=np.int64)
    indices = set_aside(count, labels=source.labels, among=everything, seed=seed, stream=CALIBRATION)
    return Part("calibration", indices, words + note)


def check_options(options: SampleOptions) -> None:
    """Refuse options by which nothing can be selected; see `split`."""
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"the limit is {options.limit}, and at least 1 sample must be scored; give more, or no limit")
    if options.seed < 0:
        raise UsageError(f"the seed is {options.seed}; give 0 or a positive number")

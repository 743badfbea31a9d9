"""Selects samples of a stream that has no end: the first ones, since no random sample of it can be drawn."""

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError
from quantlab.names import counted
from quantlab.samples.source import SampleOptions, Source
from quantlab.samples.subset import SEARCH_SAMPLES, Part, Parts, check_options

__all__ = ["STREAM", "split_stream", "stream_length"]

STREAM = "the first of a stream"
"""How they are selected, in words."""


def stream_length(options: SampleOptions, *, calibrate: int) -> int | None:
    """Number of samples that are read of a stream, for all parts; None if nothing limits what is scored.

    Raises:
        UsageError: See `split`.
    """
    check_options(options)
    if options.limit is None:
        return None
    return calibrate + _searched(options) + options.limit


def split_stream(source: Source, codes: NDArray[np.int64] | None, *, options: SampleOptions, calibrate: int) -> Parts:
    """The parts of a stream, one behind the other: for calibration, for a search, and to score.

    So a higher limit continues what is scored. A search has half as many samples as are scored, at most
    `SEARCH_SAMPLES`; with one, only a limit of twice as many or more is continued, since a longer search takes samples
    from the beginning of those that a lower limit scores. The seed changes nothing.

    Args:
        source: The first samples of a stream.
        codes: (n,): the group of each; a sample is left out if one of its group is in an earlier part.
        options: With a limit.
        calibrate: Number of samples to set aside; 0 for none.

    Raises:
        SamplesError: If the stream ended before there was a sample for each part.
    """
    edges = np.cumsum([0, calibrate, _searched(options)])
    names = ["calibration", "search", "data"]
    parts: dict[str, Part] = {}
    taken = np.zeros(0, np.int64)
    for name, start, stop in zip(names, edges, [*edges[1:], source.n], strict=True):
        indices = np.arange(start, min(stop, source.n), dtype=np.int64)
        if codes is not None:
            indices = indices[~np.isin(codes[indices], codes[taken])]
        if start < stop or name == "data":
            if not len(indices):
                raise _too_short(source, options, calibrate)
            parts[name] = Part(name, indices, f"{STREAM} after {start:,} set aside" if start else STREAM)
        taken = np.concatenate([taken, indices])
    return Parts(parts["data"], parts.get("calibration"), parts.get("search"))


def _searched(options: SampleOptions) -> int:
    return min(max(1, (options.limit or 0) // 2), SEARCH_SAMPLES) if options.search else 0


def _too_short(source: Source, options: SampleOptions, calibrate: int) -> SamplesError:
    aside = calibrate + _searched(options)
    return SamplesError(
        f"'{source.text}' ended after {counted(source.n, 'sample')}, of which the first {aside:,} are set aside, so "
        f"that none are left to score; give more samples, or remove the attribute 'endless' of a loader that ends"
    )

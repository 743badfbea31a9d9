"""The few samples of a set whose inputs stay on the disk, if those of all would need too much of it.

They are what is needed of samples besides running them: for the layers, the times, and the pictures of a report.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import StudyError
from quantlab.npy import mapped
from quantlab.samples.source import Array
from quantlab.samples.subset import draw
from quantlab.types import SampleSet

__all__ = ["FIRST", "MOST_FEW", "at_hand", "few_places", "place_at_hand", "places_at_hand", "refuse_few"]

FIRST = 64
"""The first samples are kept, since outputs of the first samples are compared."""
_DRAWN = 1024
"""Samples that are drawn besides."""
MOST_FEW = FIRST + _DRAWN
"""Most samples that are kept."""
_STREAM = 4
"""Index of this random stream of the seed."""


def few_places(n: int, labels: Array | None, *, seed: int) -> NDArray[np.int64]:
    """Places of the samples that are kept, ascending: the first ones, and a random sample, stratified by label.

    >>> few_places(3, None, seed=0).tolist()
    [0, 1, 2]
    >>> len(few_places(1_000_000, None, seed=0)) <= 1088
    True
    """
    drawn = draw(min(n, _DRAWN), n=n, labels=labels, seed=seed, stream=_STREAM)
    return np.union1d(np.arange(min(n, FIRST), dtype=np.int64), drawn)


def at_hand(samples: SampleSet) -> SampleSet:
    """The samples whose inputs are on the disk, as a set of their own without labels; all, as they are, if all are."""
    if samples.few is None:
        return samples
    return replace(
        samples,
        folder=samples.few_folder,
        n=samples.few.n,
        labelled=False,
        sha256=samples.few.sha256,
        attributes=(),
        group_key="",
        groups=None,
        truth="",
        few=None,
    )


def places_at_hand(samples: SampleSet) -> NDArray[np.int64]:
    """Places of the samples of `at_hand` among all, ascending."""
    if samples.few is None:
        return np.arange(samples.n, dtype=np.int64)
    return np.array(mapped(samples.few_places_file))


def place_at_hand(samples: SampleSet, row: int) -> int | None:
    """Where a sample is in `at_hand`; None if it is not there, or the places cannot be read."""
    if samples.few is None:
        return row
    if not samples.few_places_file.is_file():
        return None
    places = mapped(samples.few_places_file)
    found = int(np.searchsorted(places, row))
    return found if found < len(places) and places[found] == row else None


def refuse_few(samples: SampleSet, what: str) -> None:
    """Refuse what reads the inputs of any sample, of a study that keeps few of them.

    Args:
        samples: The samples of the study.
        what: What reads them, as the subject of a sentence: `an export of inputs`.

    Raises:
        StudyError: If not all are kept.
    """
    if samples.few is not None:
        raise StudyError(
            f"{what} reads any sample of the study, which keeps {samples.few.n:,} of {samples.n:,}; run 'quantlab "
            f"analyze' again without --keep-samples few"
        )

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

__all__ = ["FIRST_KEPT", "MOST_FEW", "few_places", "kept_places", "kept_subset", "place_in_kept", "refuse_few"]

FIRST_KEPT = 64
"""Number of first samples that are kept, since outputs of the first samples are compared."""
_DRAWN = 1024
"""Samples that are drawn besides."""
MOST_FEW = FIRST_KEPT + _DRAWN
"""Most samples that are kept."""
_STREAM = 4
"""Index of this random stream of the seed."""


def few_places(n: int, labels: Array | None) -> NDArray[np.int64]:
    """Places of the samples that are kept, ascending: the first ones, and a random sample, stratified by label.

    The seed of the study changes nothing, so that a set of the same bytes always keeps the same samples.

    Args:
        n: Number of all samples, at least 1.
        labels: (n,) integers to stratify by; None or others for no stratification, see `draw`.

    >>> few_places(3, None).tolist()
    [0, 1, 2]
    >>> len(few_places(1_000_000, None)) <= 1088
    True
    """
    drawn = draw(min(n, _DRAWN), n=n, labels=labels, seed=0, stream=_STREAM)
    return np.union1d(np.arange(min(n, FIRST_KEPT), dtype=np.int64), drawn)


def kept_subset(samples: SampleSet) -> SampleSet:
    """The samples whose inputs are kept, as a set of their own without labels; the set itself if all are kept."""
    if samples.few is None:
        return samples
    return replace(
        samples,
        folder=samples.few_folder,
        n=samples.few.n,
        labelled=False,
        sha256=samples.few.sha256,
        labels_sha256="",
        origins_sha256="",
        attributes=(),
        group_key="",
        groups=None,
        groups_sha256="",
        truth="",
        few=None,
    )


def kept_places(samples: SampleSet) -> NDArray[np.int64]:
    """Places of the samples of `kept_subset` among all: ascending int64, as many as are kept."""
    if samples.few is None:
        return np.arange(samples.n, dtype=np.int64)
    return np.array(mapped(samples.few_places_file))


def place_in_kept(samples: SampleSet, row: int) -> int | None:
    """Where a sample is in `kept_subset`; None if it is not there, or the places cannot be read."""
    if samples.few is None:
        return row
    try:
        places = mapped(samples.few_places_file)
    except (OSError, ValueError):
        return None
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

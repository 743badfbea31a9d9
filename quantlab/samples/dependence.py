"""The words about samples that are not independent, and the record of the pairs."""

from collections.abc import Sequence

import numpy as np

from quantlab.names import counted
from quantlab.samples.duplicates import Copies, Fingerprints
from quantlab.samples.groups import DUPLICATES, group_warnings
from quantlab.samples.source import Array, Source
from quantlab.samples.write import WrittenParts
from quantlab.types import Duplicate, Duplicates, SampleSet

__all__ = ["dependence_words", "duplicates_of", "excluded_words"]


def duplicates_of(found: Copies, source: Source, indices: Array) -> Duplicates:
    """The record of duplicates among scored samples.

    Args:
        found: The copies among them.
        source: Where they come from.
        indices: Their positions in the source.
    """
    copies = found.copies

    def file(index: int) -> str | None:
        # A name that is no valid text could not be written to a record.
        return source.files[index].encode(errors="replace").decode() if source.files else None

    pairs = []
    for copy in copies.tolist():
        sample, of = int(indices[copy]), int(indices[found.of[copy]])
        pairs.append(Duplicate(sample, of, round(float(found.distances[copy]), 4), file(sample), file(of)))
    return Duplicates(len(found.of), found.equal, len(copies) - found.equal, tuple(pairs))


def excluded_words(written: WrittenParts, others: Sequence[Fingerprints]) -> list[str]:
    """Say how many samples are not scored because they are among others, and how many are nearly equal to those.

    Args:
        written: The parts; the first is scored.
        others: The samples of other parts, and calibration samples that were given.
    """
    words = []
    if written.excluded:
        words.append(
            f"{counted(written.excluded, 'sample')} of '{written.samples[0].source}' {_verb(written.excluded)} equal "
            f"to samples for calibration or of a search, byte by byte, and {_verb(written.excluded)} not scored"
        )
    if written.equal:
        words.append(
            f"{counted(written.equal, 'scored sample')} of '{written.samples[0].source}' {_verb(written.equal)} equal "
            f"to calibration samples, byte by byte, and scored all the same, because too few others remain: quantized "
            f"variants may look better than they are"
        )
    scored = written.fingerprints[0]
    near = np.zeros(scored.n, np.bool_)
    for other in others:
        near |= scored.near(other)
    if count := int(np.count_nonzero(near)):
        words.append(
            f"{counted(count, 'scored sample')} {_verb(count)} nearly equal to samples for calibration or of a search, "
            f"so quantized variants may look better than they are; draw them together with --group duplicates"
        )
    return words


def dependence_words(found: Copies, scored: SampleSet, codes: Array | None) -> list[str]:
    """Say that scored samples are not independent, and what to do.

    Args:
        found: The copies among them.
        scored: The samples.
        codes: (n,): their groups; None without a group key.
    """
    copies = found.copies
    if codes is not None:
        apart = int(np.count_nonzero(codes[copies] != codes[found.of[copies]]))
        return group_warnings(scored.group_key, codes, apart)
    if not len(copies):
        return []
    kinds = {"equal": found.equal, "nearly equal": len(copies) - found.equal}
    what = " and ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    are = "is a copy of another one" if len(copies) == 1 else "are copies of others"
    sentence = (
        f"{len(copies):,} of the {scored.n:,} scored samples {are} ({what}), which "
        f"makes intervals too narrow; count copies as one with --group {DUPLICATES}, or see 'quantlab show duplicates'"
    )
    return [sentence]


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"

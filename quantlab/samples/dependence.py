"""The words about samples that are not independent, and the record of the pairs."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.samples.duplicates import Copies, Fingerprints, thumbnails_of
from quantlab.samples.groups import DUPLICATES, group_warnings
from quantlab.samples.near import Thumbnails
from quantlab.samples.source import Array, HeldTensor, SampleOptions, Source, block_rows, pieces
from quantlab.samples.write import WrittenParts
from quantlab.types import Duplicate, Duplicates, SampleSet

__all__ = ["dependence_words", "duplicates_of", "excluded_words"]

_MOST_PAIRS = 100_000
"""Most pairs that are recorded."""
_AT_ONCE = 2**13
"""Least number of images whose thumbnails are compared together: about 1 KB each while they are made."""
_THREADS = 2
"""Nothing else runs meanwhile, and NumPy lets other threads run while it computes."""


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
    for copy in copies[:_MOST_PAIRS].tolist():
        sample, of = int(indices[copy]), int(indices[found.of[copy]])
        pairs.append(Duplicate(sample, of, round(float(found.distances[copy]), 4), file(sample), file(of)))
    return Duplicates(len(found.of), found.equal, len(copies) - found.equal, tuple(pairs), found.searched)


def excluded_words(written: WrittenParts, others: Sequence[Fingerprints], options: SampleOptions) -> list[str]:
    """Say how many samples are not scored because they are among others, and how many are nearly equal to those.

    Args:
        written: The parts; the first is scored.
        others: The samples of other parts, and calibration samples that were given.
        options: Among how many images nearly equal ones are looked for, and whether copies are groups already.
    """
    words, most = [], options.most_images
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
    if not all(other.searched for other in others):
        words.append(
            f"nearly equal images are looked for among at most {most:,} samples for calibration or of a search, and "
            f"there are more, so it is unknown how many scored samples are nearly equal to one of them; give fewer"
        )
    if _unsearched(written, others):
        words.append(
            f"nearly equal images are not looked for among {counted(written.samples[0].n, 'scored sample')}, of which "
            f"few are kept (--keep-samples few), so it is unknown how many of them are nearly equal to samples for "
            f"calibration or of a search"
        )
    elif count := _near(written, [other for other in others if other.thumbnails is not None]):
        remedy = "" if options.group == DUPLICATES else f"; draw them together with --group {DUPLICATES}"
        words.append(
            f"{counted(count, 'scored sample')} {_verb(count)} nearly equal to samples for calibration or of a search, "
            f"so quantized variants may look better than they are{remedy}"
        )
    return words


def _unsearched(written: WrittenParts, others: Sequence[Fingerprints]) -> bool:
    """Whether scored images would have to be read again to compare them with others, and are not kept."""
    compared = any(other.thumbnails is not None for other in others)
    return compared and written.cut_samples is not None and not written.fingerprints[0].searched


def _near(written: WrittenParts, others: Sequence[Fingerprints]) -> int:
    """Number of scored samples that are nearly equal to one of others.

    Of more scored images than are compared with each other, no thumbnails are kept: they are read again, few at a time,
    which takes no memory that grows with their number and no time that grows with its square.
    """
    scored, count = written.fingerprints[0], 0
    if not others:
        return 0
    at_once = max(_AT_ONCE, *(other.n for other in others))  # others are sorted again for each part
    parts = [scored.thumbnails] if scored.searched else _thumbnails_again(written.samples[0], at_once)
    for own in parts:
        if own is not None:
            near = [own.near(other.thumbnails) for other in others if other.thumbnails is not None]
            count += int(np.count_nonzero(np.logical_or.reduce(near)))
    return count


def _thumbnails_again(samples: SampleSet, at_once: int) -> Iterator[Thumbnails]:
    """The thumbnails of written samples, of so many at a time."""
    (spec,) = samples.inputs  # images are an only input
    file = samples.input_file(spec.name)
    held = mapped(file)
    rows = block_rows([HeldTensor(spec.name, held.shape, held.dtype)])

    def of(places: Array) -> Thumbnails | None:
        # Mapped again for each block: pages that were read stay in memory as long as the mapping exists.
        return thumbnails_of({spec.name: np.asarray(mapped(file)[places])}, samples.inputs)

    with ThreadPoolExecutor(_THREADS) as pool:
        before: Iterator[Thumbnails | None] | None = None
        for places in pieces(np.arange(samples.n), at_once):
            # Those of the next images are made while the caller compares these.
            found = pool.map(of, pieces(places, min(rows, -(-len(places) // _THREADS))))
            if before is not None:
                yield _joined(before)
            before = found
        if before is not None:
            yield _joined(before)


def _joined(parts: Iterator[Thumbnails | None]) -> Thumbnails:
    return Thumbnails.joined([one for one in parts if one is not None])


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

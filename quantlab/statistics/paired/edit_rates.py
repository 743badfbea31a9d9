"""Character and word error rates of decoded outputs: edits over the length of the ground truth.

The edit distance is computed here, for all samples at once: a library for it would be one more dependency for twenty
lines, and would have to be called sample by sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.names import shape_words
from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.metric_names import options_of
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.ratios import ratio_of_sums
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["Decoding", "accepts_sequences", "edit_distances", "edit_rate", "reads_sequences"]

_UNREADABLE = np.iinfo(np.int64).max
"""Code of a step that cannot be read, such as one whose scores hold NaN: it is never right, and never left out."""
_BLOCK_SAMPLES = 512


@dataclass(frozen=True, slots=True)
class Decoding:
    """How outputs become sequences of class numbers, and these words; from the name of a metric."""

    plain: bool
    """Whether every step counts; otherwise equal steps in a row are one, and blanks are dropped (greedy CTC)."""
    blank: int | None
    """Class of the blank; None for the last class of scores."""
    space: int | None
    """Class between words; None if every class number is a word or character itself."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Read `cer`, `wer:space=0`, `cer:blank=0`, `cer:plain` or several options, separated by commas.

        Raises:
            UsageError: If an option is unknown, or is no class number.
        """
        known = ("blank", "plain", "space") if name.partition(":")[0] == "wer" else ("blank", "plain")
        options = options_of(name, known)
        if "plain" in options and "blank" in options:
            raise UsageError(f"the metric '{name}' is plain and has a blank, which only CTC has; leave one of them out")
        numbers = {key: _class_number(name, key, options[key]) for key in ("blank", "space") if key in options}
        if options.get("plain"):
            raise UsageError(f"the metric '{name}' gives plain a value; write plain alone")
        return cls("plain" in options, numbers.get("blank"), numbers.get("space"))

    def decode(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """Sequences of some outputs: (n, steps), each from the left, then −1.

        Class numbers (n, steps) are plain unless a blank is named; numbers below 0 are dropped, since decoders fill up
        sequences with −1. Scores (n, steps, classes) are read greedily: the best class of each step, the lowest among
        equals.
        """
        scores = outputs.ndim == 3 and outputs.shape[2] > 1
        steps = _best(outputs) if scores else _class_numbers(outputs)
        if self.plain or (not scores and self.blank is None):
            return _to_the_left(steps, steps >= 0)
        blank = self.blank if self.blank is not None else outputs.shape[-1] - 1
        first = np.ones(steps.shape, bool)
        first[:, 1:] = steps[:, 1:] != steps[:, :-1]
        # What cannot be read is not known to be a repetition.
        return _to_the_left(steps, (steps >= 0) & (steps != blank) & (first | (steps == _UNREADABLE)))


def _best(outputs: NDArray[Any]) -> NDArray[np.int64]:
    unreadable = np.isnan(outputs.max(axis=-1))
    return np.where(unreadable, _UNREADABLE, outputs.argmax(axis=-1)).astype(np.int64)


def _class_numbers(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """(n, steps); what is no whole number, or none of int64, cannot be read."""
    flat = outputs.reshape(outputs.shape[:2])
    if flat.dtype.kind == "f":
        flat = flat.astype(np.float64)
        whole = (flat == np.round(flat)) & (np.abs(flat) < 2.0**63)
    else:
        whole = flat <= _UNREADABLE
    # The code is put in as an integer: as a float it would be 2^63, which is none of int64.
    return np.where(whole, np.where(whole, flat, 0).astype(np.int64), _UNREADABLE)


def _to_the_left(steps: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    order = np.argsort(~kept, axis=1, kind="stable")
    return np.take_along_axis(np.where(kept, steps, -1), order, axis=1)


def edit_rate(name: str) -> Callable[[ReferenceSamples, CandidateSamples], Totals]:
    """Function that compares the error rate `cer` or `wer`, with the options of its name; see `Decoding`.

    Σ edits / Σ length of the ground truth, over all samples: the fewest insertions, deletions and substitutions that
    turn the output into the ground truth (Levenshtein 1966). It may be above 1.
    """
    decoding = Decoding.of(name)

    def compare(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
        labels = np.asarray(reference.labels)
        _check_sequences(name, labels, reference.outputs.shape)
        words = _Words(decoding.space)
        truth = [words.of(row) for row in _truth(name, labels, _classes(reference.outputs.shape))]
        lengths = np.array([len(row) for row in truth], np.int64)
        if not lengths.any():
            raise UsageError(f"the metric '{name}' needs ground truth that is not empty, and that of every sample is")
        edits = [_edits(decoding, words, side.outputs, truth) for side in (reference, candidate)]
        most = float(max(lengths.max(), *(side.max() for side in edits)))
        # No more edits than the longer of ground truth and output.
        return ratio_of_sums((lengths, edits[0]), (lengths, edits[1]), most=most, bounded=True)

    return compare


class _Words:
    """Numbers for words, equal where the words are equal."""

    def __init__(self, space: int | None) -> None:
        self._space, self._numbers = space, dict[tuple[int, ...], int]()

    def of(self, sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """The words of a sequence; without a space, the sequence itself."""
        space = self._space
        if space is None:
            return sequence
        pieces = np.split(sequence, np.flatnonzero(sequence == space))
        words = [tuple(piece[piece != space].tolist()) for piece in pieces]
        # A word that cannot be read equals no other.
        numbers = [_UNREADABLE if _UNREADABLE in word else self._number(word) for word in words if word]
        return np.array(numbers, np.int64)

    def _number(self, word: tuple[int, ...]) -> int:
        return self._numbers.setdefault(word, len(self._numbers))


def _edits(
    decoding: Decoding, words: _Words, outputs: NDArray[Any], truth: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    counted = [np.zeros(0, np.int64)]
    for rows in blocks(outputs):
        block = decoding.decode(np.asarray(outputs[rows]))
        counted.append(edit_distances(truth[rows], [words.of(row[row >= 0]) for row in block]))
    return np.concatenate(counted)


def edit_distances(truth: list[NDArray[np.int64]], outputs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Levenshtein distance of each pair of sequences: (n,).

    Args:
        truth: Sequences of numbers, each of any length.
        outputs: As many.
    """
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(truth), _BLOCK_SAMPLES):
        rows = slice(start, start + _BLOCK_SAMPLES)
        parts.append(_distances(truth[rows], outputs[rows]))
    return np.concatenate(parts)


def _distances(truth: list[NDArray[np.int64]], outputs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One row of the table for each element of the truth, for all pairs at once.

    Within a row, insertions go from left to right: the cost at j is the least over k ≤ j of that at k plus j − k, which
    is a running minimum of the costs less their place.
    """
    n = len(truth)
    left, lengths = _padded(truth, -1)
    right, widths = _padded(outputs, -2)
    places = np.arange(right.shape[1] + 1)
    row = np.broadcast_to(places, (n, len(places))).astype(np.int64)
    found: NDArray[np.int64] = row[np.arange(n), widths]
    for step in range(left.shape[1]):
        above = row + 1
        other = (left[:, step, None] != right) | (right == _UNREADABLE)
        above[:, 1:] = np.minimum(above[:, 1:], row[:, :-1] + other)
        row = np.minimum.accumulate(above - places, axis=1) + places
        ending = lengths == step + 1
        found = np.where(ending, row[np.arange(n), widths], found)
    return found


def _padded(sequences: list[NDArray[np.int64]], fill: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    padded = np.full((len(sequences), int(lengths.max(initial=0))), fill, np.int64)
    for place, sequence in enumerate(sequences):
        padded[place, : len(sequence)] = sequence
    return padded, lengths


def accepts_sequences(name: str) -> Callable[[NDArray[Any], tuple[int | None, ...]], None]:
    """`Accepts` of an error rate: sequences of class numbers of any length, for scores or numbers of steps."""
    Decoding.of(name)  # an option that is wrong is a sentence before anything is run

    def accepts(labels: NDArray[Any], shape: tuple[int | None, ...]) -> None:
        _check_sequences(name, labels, shape)
        _truth(name, labels, _classes(shape))

    return accepts


def _classes(shape: tuple[int | None, ...]) -> int | None:
    """Number of classes of scores (n, steps, classes); None for class numbers, and where it is open."""
    return shape[2] if len(shape) == 3 and shape[2] != 1 else None


def _check_sequences(name: str, labels: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    if len(shape) not in {2, 3}:
        raise UsageError(
            f"the metric '{name}' needs outputs (n, steps, classes) or class numbers (n, steps), and those of the "
            f"scored output are {shape_words(shape[1:])} per sample; choose the decoded output with --score-output"
        )
    classes, decoding = _classes(shape), Decoding.of(name)
    for key, number in (("blank", decoding.blank), ("space", decoding.space)):
        if classes is not None and number is not None and number >= classes:
            raise UsageError(
                f"the metric '{name}' has '{key}={number}', and the scored output has {classes} classes; give a class "
                f"number from 0 to {classes - 1}"
            )
    if not labels.dtype.hasobject and (labels.ndim != 2 or labels.dtype.kind not in "iu"):
        raise UsageError(
            f"the metric '{name}' needs sequences of class numbers as ground truth, and the labels are "
            f"{labels.dtype.name} of shape {labels.shape}; give integers (n, steps) filled up with −1, or of another "
            f"length for each sample (y and y_offsets in a .npz, or a .jsonl file)"
        )


def _truth(name: str, labels: NDArray[Any], classes: int | None) -> list[NDArray[np.int64]]:
    """The ground truth of each sample, without what fills it up; None of `classes` allows any class number."""
    rows = []
    for place, value in enumerate(labels):
        try:
            row = np.asarray(value)
        except ValueError:  # lists of different lengths
            row = np.empty((1, 0), object)
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            what = f"is {row.dtype.name} of shape {row.shape}" if row.ndim else "is no list"
            raise OddSample(
                f"the metric '{name}' needs sequences of class numbers, and the ground truth of",
                place,
                f" {what}; give a list of integers from 0",
            )
        if classes is not None and row.size and row.max() >= classes:
            raise OddSample(
                f"the metric '{name}' needs class numbers from 0 to {classes - 1}, as the scored output has {classes} "
                f"classes, and the ground truth of",
                place,
                f" holds {row.max()}; number the classes as the output does",
            )
        rows.append(row[row >= 0].astype(np.int64))
    return rows


def _class_number(name: str, key: str, text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"the metric '{name}' has '{key}={text}'; give a class number from 0, for example {key}=0")
    return int(text)


def reads_sequences(name: str) -> str:
    """How outputs are read, for the footer."""
    decoding = Decoding.of(name)
    words = "" if decoding.space is None else f", words between class {decoding.space}"
    if decoding.plain:
        return f"every step counts{words}"
    blank = "the last class of scores" if decoding.blank is None else f"class {decoding.blank}"
    numbers = "; class numbers are taken as they are" if decoding.blank is None else ""
    return f"greedy CTC: repeated steps are one, and the blank is {blank}{numbers}{words}"

"""What is summed over the photos: differences between tensors, between pixels, and between the model's outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.pipelines import Unprepared
from quantlab.study.pipelines.block import Result
from quantlab.types import DecodedKind, PhotoFailure, Pipeline, StepName

__all__ = ["Array", "DifferenceSums", "KindSums", "OutputSums", "PipelineSums", "steps_apart"]

Array = npt.NDArray[Any]


def steps_apart(values: Array, declared_values: Array, declared: Pipeline) -> Array:
    """Differences in steps of 1/255 of the declared pixel range, float64, of the shape of the values.

    Args:
        values: (height, width, channels), in the order of the pipeline's own colours.
        declared_values: Likewise, of the declared pipeline.
        declared: Its scale is what one step of a pixel changes.
    """
    apart: Array = (values.astype(np.float64) - declared_values) / np.array(declared.scale)
    return apart


@dataclass(slots=True)
class DifferenceSums:
    """Absolute differences of elements."""

    count: int = 0
    total: float = 0.0
    largest: float = 0.0

    def add(self, differences: Array) -> None:
        """Add the differences of a photo; a difference that is not finite makes the figures infinite."""
        sizes = np.abs(np.asarray(differences, np.float64))
        if not np.isfinite(sizes).all():
            sizes = np.full(1, np.inf)
        self.count += differences.size
        self.total += float(sizes.sum())
        self.largest = max(self.largest, float(sizes.max(initial=0.0)))

    @property
    def mean(self) -> float | None:
        """None without elements."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class OutputSums:
    """The model's outputs with a pipeline beside those with the declared one, photo by photo."""

    count: int = 0
    squares: float = 0.0
    answered: int = 0
    """Photos whose class was compared; 0 for an output that is no class."""
    labelled: int = 0
    """Photos with a label."""
    changed: int = 0
    became_wrong: int = 0
    became_right: int = 0

    def add(self, outputs: Array, declared_outputs: Array) -> None:
        """Add the outputs of some photos, (k, …)."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = float(((outputs.astype(np.float64) - declared_outputs) ** 2).sum())
        self.squares += squares if np.isfinite(squares) else np.inf
        self.count += outputs.size

    def add_answers(
        self, answers: npt.NDArray[np.int32], before: npt.NDArray[np.int32], labels: npt.NDArray[np.int64] | None
    ) -> None:
        """Add the top-1 of some photos, (k,), with the pipeline and before, and perhaps their labels."""
        self.answered += len(answers)
        self.changed += int(np.count_nonzero(answers != before))
        if labels is not None:
            self.labelled += len(labels)
            self.became_wrong += int(np.count_nonzero((before == labels) & (answers != labels)))
            self.became_right += int(np.count_nonzero((before != labels) & (answers == labels)))

    @property
    def rms(self) -> float | None:
        """None without outputs."""
        return float(np.sqrt(self.squares / self.count)) if self.count else None


@dataclass(slots=True)
class PipelineSums:
    """All sums of one pipeline."""

    photos: int = 0
    whole: DifferenceSums = field(default_factory=DifferenceSums)
    swapped: dict[StepName, DifferenceSums] = field(default_factory=dict)
    """Step → differences that are left if this step is the declared one."""
    outputs: OutputSums = field(default_factory=OutputSums)
    failures: list[PhotoFailure] = field(default_factory=list)

    def swapped_of(self, step: StepName) -> DifferenceSums:
        """The sums of a step, new ones if there are none yet."""
        return self.swapped.setdefault(step, DifferenceSums())


@dataclass(slots=True)
class _OneKind:
    """What one decoder makes of one kind of files; fields as in `DecodedKind`."""

    files: int = 0
    failed: int = 0
    other_size: int = 0
    only_here: int = 0
    differences: DifferenceSums = field(default_factory=DifferenceSums)

    def add(self, pixels: Result, declared: Result) -> None:
        self.files += 1
        if isinstance(pixels, Unprepared):
            self.failed += 1
        elif isinstance(declared, Unprepared):
            self.only_here += 1
        elif pixels.shape != declared.shape:
            self.other_size += 1
        else:
            self.differences.add(pixels.astype(np.int16) - declared.astype(np.int16))


@dataclass(slots=True)
class KindSums:
    """What decoders make of kinds of files."""

    rows: dict[tuple[str, str], _OneKind] = field(default_factory=dict)

    def add(self, kinds: Sequence[str], decoder: str, pixels: Result, declared: Result) -> None:
        """Add one photo by one decoder."""
        for kind in kinds:
            self.rows.setdefault((kind, decoder), _OneKind()).add(pixels, declared)

    def results(self) -> tuple[DecodedKind, ...]:
        """A row for each kind and decoder, kinds in alphabetical order."""
        return tuple(
            DecodedKind(
                kind=kind,
                decoder=decoder,
                files=one.files,
                failed=one.failed,
                other_size=one.other_size,
                only_here=one.only_here,
                mean=one.differences.mean,
                largest=one.differences.largest if one.differences.count else None,
            )
            for (kind, decoder), one in sorted(self.rows.items(), key=lambda item: item[0][0])
        )

"""What a study tells of its calibration, step by step: before it converts, after its runs, and inside the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quantlab.formats import Format
from quantlab.progress import Progress
from quantlab.samples import SampleParts, kept_subset
from quantlab.study.calibration_check import (
    check_calibration,
    suits_scored,
    told_of_calibration,
    told_of_recorded,
    with_input_codes,
    with_recorded,
)
from quantlab.study.calibration_inside import told_inside, told_inside_alone, told_of_files, with_inner, with_layers
from quantlab.types import CalibrationCheck, InnerRange, Inside, SampleSet, Variant

__all__ = ["ToldCalibration", "told_alone"]


@dataclass(slots=True)
class ToldCalibration:
    """The ranges that are known so far, and about which of them a warning was given."""

    check: CalibrationCheck | None = None
    """None if no setting was calibrated, and no variant takes codes."""
    _told: bool = False
    """Whether the calibration samples were told of."""
    _files: set[str] = field(default_factory=set)
    """Variants whose inputs were told of."""

    @property
    def suits_scored(self) -> bool:
        """Whether no input is known to have another range in the calibration samples than in the scored ones."""
        return self.check is None or suits_scored(self.check)

    def before(self, parts: SampleParts, progress: Progress, *, seed: int) -> list[str]:
        """Compare the calibration samples with the scored ones, and tell at once."""
        if parts.calibration is None:
            return []
        self.check = check_calibration(parts.calibration, kept_subset(parts.scored), seed=seed)
        sentences = told_of_calibration(self.check)
        self._told = bool(sentences)
        for sentence in sentences:
            progress.warn(sentence)
        return sentences

    def after_runs(
        self,
        variants: Sequence[Variant],
        formats: Mapping[str, Format],
        parts: SampleParts,
        inner: Sequence[InnerRange],
    ) -> list[str]:
        """Add what the variants recorded for their inputs, and what the calibration samples reach inside the model."""
        check = with_recorded(
            self.check, [with_input_codes(variant, formats) for variant in variants], kept_subset(parts.scored)
        )
        recorded = told_of_recorded(check)
        self._files = {*recorded}
        sentences = [sentence for own in recorded.values() for sentence in own]
        if check is not None and parts.calibration is not None and inner:
            check = with_inner(check, inner, parts.calibration)
        self.check = check
        return sentences

    def after_layers(self, inside: Inside, variants: Sequence[Variant]) -> list[str]:
        """Add what the scored samples reach inside the model, and what the variants recorded there."""
        self.check = with_layers(self.check, inside)
        if self.check is None:
            return []
        stretched = told_inside(self.check)
        self._told |= bool(stretched)
        given = [variant.name for variant in variants if variant.given]
        told = {variant.name: self._told and not variant.given for variant in variants}
        told |= dict.fromkeys(self._files, True)
        return [*stretched, *told_of_files(self.check, given, told)]


def told_alone(calibration: SampleSet, inner: Sequence[InnerRange], *, seed: int) -> list[str]:
    """Sentences about calibration samples inside the model, if nothing is scored."""
    check = with_inner(check_calibration(calibration, calibration, seed=seed), inner, calibration)
    return told_inside_alone(check)

"""Runs artifacts in which one op is quantized, or all but one, and keeps their errors."""

import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.npy import mapped
from quantlab.statistics import measure_error, scored_samples, verify_answers
from quantlab.store import key_of
from quantlab.study.context import Context, artifact_options
from quantlab.study.inside.samples import draw_layer_samples
from quantlab.study.options import SensitivityOptions
from quantlab.study.reference import batch_size_of
from quantlab.study.run import Run, run_first
from quantlab.study.sensitivity_results import Kind, OpErrors, PartResult, chunks, ranking_figure, with_result
from quantlab.study.sensitivity_subject import Subject, request_of
from quantlab.types import (
    PYTHON,
    MeasuredError,
    OpenedModel,
    PartSensitivity,
    SampleSet,
    Sensitivity,
    Study,
    TensorSpec,
    Variant,
    VerifiedPart,
)
from quantlab_converters import Conversion, ConversionRequest, Part, convert_settings
from quantlab_converters.float_layers import exact_name, kept_parts

__all__ = ["Measuring"]

_VERIFIED = 10
"""Number of ops for which the metric is measured on all scored samples."""
_SAME = 1e-4
"""Largest share of the squared error that may be due to rounding, if swapped weights compute the same."""
_PHASE = "quantize one by one"
_FAILURES = 2
"""Number of ops that fail, before any could be measured, after which the others are not tried."""

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Measuring:
    """One variant, and the samples on which the errors of its ops are measured."""

    context: Context
    study: Study
    opened: OpenedModel
    subject: Subject
    options: SensitivityOptions
    samples: SampleSet
    """The samples on which errors are measured."""
    outputs: tuple[TensorSpec, ...]
    folder: Path
    """Of the stored results."""
    exact: Array
    """The scored output of the float32 artifact for `samples`."""
    began: float = field(default_factory=time.monotonic)
    _until: dict[Kind, float] = field(default_factory=dict)
    """Times of `time.monotonic` after which no further op may begin; of a kind without one, all are measured."""
    _splits: bool = True
    """Whether the errors of weights and activations alone are measured, too."""
    _swaps: bool = False
    """Whether weights can be swapped instead of converting again."""
    _first: frozenset[str] = frozenset()
    """The ops for which the metric is measured on all scored samples, by their taps."""

    @classmethod
    def of(
        cls, context: Context, study: Study, opened: OpenedModel, subject: Subject, options: SensitivityOptions
    ) -> "Measuring":
        """Draw the samples, and run the float32 artifact on them."""
        finite = scored_samples(mapped(study.reference.outputs[study.scored_output]), study.non_finite)
        drawn = draw_layer_samples(context, study.samples, options.limit, finite)
        arrays = {name: mapped(file) for name, file in study.reference.outputs.items()}
        outputs = tuple(TensorSpec(name, (None, *one.shape[1:]), one.dtype.name) for name, one in arrays.items())
        key = key_of(
            {"samples": drawn.samples.sha256, "baseline": subject.float32.sha256, "quantized": subject.quantized.sha256}
        )
        folder = context.store.root / "sensitivity" / subject.setting.name / key
        made = cls(context, study, opened, subject, options, drawn.samples, outputs, folder, np.empty(0))
        if options.budget_minutes is not None:
            made._until = {kind: made.began + 60 * share * options.budget_minutes for kind, share in _SHARES.items()}
        made.exact = made.run_variant(subject.float32, made.samples)
        return made

    def run(self) -> Sensitivity:
        """Measure all ops, and sort them."""
        setting, parts = self.subject.setting, self._parts()
        self.context.progress.plan(_PHASE, 2 * len(parts))
        whole = self._whole()
        rows = {part.tap: PartSensitivity(part.tap, part.layers, part.values) for part in parts}
        for part, only in self._results("only", parts):
            rows[part.tap] = with_result(rows[part.tap], "only", only)
        figure = ranking_figure([whole, *(row.only for row in rows.values() if row.only is not None)])
        ranked = sorted(parts, key=lambda part: -figure(rows[part.tap].only))
        self._first = frozenset(part.tap for part in ranked[:_VERIFIED])
        for part, without in self._results("without", [part for part in ranked if rows[part.tap].only is not None]):
            # A search that was stopped had another order.
            verified = without.verified if part.tap in self._first else None
            rows[part.tap] = with_result(rows[part.tap], "without", replace(without, verified=verified))
        ordered = tuple(rows[part.tap] for part in ranked)
        worst = [row for row in ordered if figure(row.only) > 0][: self.options.keep]
        float_layers = tuple(dict.fromkeys(row.entry for row in worst))
        return Sensitivity(
            setting=setting.name,
            output=self.study.scored_output,
            n=self.samples.n,
            drawn=self.samples.drawn,
            whole=whole,
            parts=ordered,
            verified_whole=self._verified_whole(),
            float_layers=float_layers,
            words=self._words(parts, float_layers),
            seconds=time.monotonic() - self.began,
        )

    def alone(self, deadline: float) -> OpErrors:
        """Measure only the error of each op quantized alone, until a time of `time.monotonic`."""
        parts = self._parts()
        self.context.progress.plan(_PHASE, len(parts))
        self._until, self._splits = {"only": deadline}, False
        whole = self._whole()
        errors: dict[Part, MeasuredError] = {}
        reasons: dict[Part, str] = {}
        with closing(self._results("only", parts)) as results:
            for part, result in results:
                if result.error is not None:
                    errors[part] = result.error
                elif result.reason is not None:
                    reasons[part] = result.reason
                if not errors and len(reasons) == _FAILURES:
                    break
        figure = ranking_figure([whole, *errors.values()])
        finished = len(errors) + len(reasons) == len(parts) or (bool(reasons) and not errors)
        return OpErrors({part: figure(error) for part, error in errors.items()}, reasons, finished)

    def _whole(self) -> MeasuredError:
        """The error with all ops quantized; it also tells whether weights can be swapped."""
        quantized = self.run_variant(self.subject.quantized, self.samples)
        whole = self._error(quantized)
        self._swaps = self._can_swap(quantized, whole)
        return whole

    def _words(self, parts: Sequence[Part], float_layers: Sequence[str]) -> str | None:
        """What the official tool needs to keep all ops in float that the entries name; None if they name none."""
        taps = [part.tap for part in kept_parts(parts, float_layers)]
        words = self.subject.converter.words
        return words(self.subject.float32.path, self.subject.setting.scheme, taps) if taps else None

    def _parts(self) -> tuple[Part, ...]:
        """The ops that may be quantized: all of them, or without calibration those with weights."""
        return tuple(part for part in self.subject.parts if part.weights or self.subject.setting.calibrated)

    def run_variant(self, variant: Variant, samples: SampleSet, swapped: Sequence[str] | None = None) -> Array:
        """The scored output of an artifact in Python; with `swapped`, only these weights are its own."""
        format_ = self.subject.format
        options = artifact_options(self.context, format_, variant.path)
        if swapped is not None and format_.python.swapped is not None:
            format_ = replace(format_, python=format_.python.swapped)
            float32 = str(self.subject.float32.path.absolute())
            options = replace(options, float32_artifact=float32, swapped=tuple(swapped))
        run = Run(
            name=variant.name,
            runtime=self.context.registries.python,
            variant=variant,
            format=format_,
            artifact=str(variant.path.absolute()),
            sha256=variant.sha256,
            environment={},
            outputs=self.outputs,
            batch_size=batch_size_of(format_, variant, self.study.batch_size),
            options=options,
        )
        return run_first(self.context, run, samples, samples.n)[self.study.scored_output]

    def _error(self, outputs: Array) -> MeasuredError:
        return measure_error(
            self.exact,
            outputs,
            classes=self._classes,
            probabilities=bool(self.study.probabilities),
            seed=self.options.seed,
        )

    @property
    def _classes(self) -> bool:
        """Whether each sample has one class, whose probabilities can be compared."""
        return self.study.classes and not self.study.positions and self.exact.ndim == 2

    def _results(self, kind: Kind, parts: Sequence[Part]) -> Generator[tuple[Part, PartResult], None, None]:
        """Yield each op with its result, as long as there is time; stored results first."""
        missing = []
        for part in parts:
            kept = self.context.store.read(self._record(kind, part), PartResult)
            unverified = kind == "without" and self._classes and part.tap in self._first
            if kept is None or (unverified and kept.verified is None):
                missing.append(part)
            else:
                self.context.progress.skip(_PHASE, 1)
                yield part, kept
        step = f"{_STEPS[kind]} {self.subject.setting.name}"
        if missing:
            self.context.progress.begin(step, len(missing))
        for some in chunks(missing, self.subject.float32.size_bytes):
            if self._is_over(kind):
                break
            measured = self._swapped if self._swaps else self._measured
            for part, result in measured(kind, some):
                if result.error is not None:  # a failure is tried again by the next call
                    self.context.store.write(self._record(kind, part), result)
                self.context.progress.work(_PHASE, 1)
                self.context.progress.advance(step, 1)
                yield part, result
        if missing:
            self.context.progress.end(step, "time is over" if self._is_over(kind) else "done")

    def _record(self, kind: Kind, part: Part) -> Path:
        return self.folder / f"{key_of({'kind': kind, 'part': part.tap})}.json"

    def _is_over(self, kind: Kind) -> bool:
        """Whether no further op may begin."""
        return kind in self._until and time.monotonic() > self._until[kind]

    def _weights(self) -> list[str]:
        return [name for part in self._parts() for name in part.weights]

    def _can_swap(self, quantized: Array, whole: MeasuredError) -> bool:
        """Whether the float32 artifact with all weights of the variant computes what the variant computes.

        Weights in loops, for example, cannot be swapped, and stay float32 without an error.
        """
        if self.subject.format.python.swapped is None:
            return False
        try:
            swapped = self.run_variant(self.subject.quantized, self.samples, self._weights())
        except QuantlabError:
            return False
        rest = np.square(swapped.astype(np.float64) - quantized).mean()
        return bool(rest <= _SAME * whole.mse)

    def _swapped(self, kind: Kind, parts: Sequence[Part]) -> Iterator[tuple[Part, PartResult]]:
        """Run the float32 artifact with weights of the variant, without any conversion."""
        every = self._weights()
        for part in parts:
            if self._is_over(kind):
                return
            own = set(part.weights)
            names = [name for name in every if (name in own) is (kind == "only")]
            yield part, self._of(kind, part.tap, self.subject.quantized, names)

    def _measured(self, kind: Kind, parts: Sequence[Part]) -> Iterator[tuple[Part, PartResult]]:
        """Convert and run; one artifact runs while the next is converted."""
        work = self.context.store.work / "sensitivity"
        shutil.rmtree(work, ignore_errors=True)
        request, part_of = self._request(kind, parts, work)
        running: list[tuple[Part, Future[PartResult]]] = []
        try:
            with (
                ThreadPoolExecutor(1, thread_name_prefix="quantlab") as pool,
                closing(
                    convert_settings(self.subject.converter, request, log=work / "log", pool=self.context.pool)
                ) as conversions,
            ):
                for conversion in conversions:
                    part = part_of[conversion.scheme]
                    running.append((part, pool.submit(self._result, kind, part.tap, conversion)))
                    while running and running[0][1].done():
                        yield running[0][0], running.pop(0)[1].result()
                    if self._is_over(kind):
                        break
                for part, future in running:
                    yield part, future.result()
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _request(self, kind: Kind, parts: Sequence[Part], work: Path) -> tuple[ConversionRequest, Mapping[str, Part]]:
        """What is converted: a scheme for each op, and the op of each scheme."""
        # An op that reads a weight of another op is quantized, too, unless it is named.
        every = {part: exact_name(part, self.subject.parts) for part in self.subject.parts}
        kept = [
            (every[part],) if kind == "without" else tuple(name for other, name in every.items() if other != part)
            for part in parts
        ]
        request = request_of(self.subject, self.study, self.opened, kept, work)
        return request, dict(zip(request.schemes, parts, strict=True))

    def _result(self, kind: Kind, tap: str, conversion: Conversion) -> PartResult:
        if conversion.reason is not None:
            return PartResult(reason=conversion.reason)
        path = self.subject.format.served(conversion.folder)
        try:
            return self._of(kind, tap, replace(self.subject.quantized, path=path, sha256=""))
        finally:
            shutil.rmtree(conversion.folder, ignore_errors=True)

    def _of(self, kind: Kind, tap: str, variant: Variant, swapped: Sequence[str] | None = None) -> PartResult:
        """The result of an artifact for the op that writes `tap`; see `run_variant`."""
        try:
            result = PartResult(self._error(self.run_variant(variant, self.samples, swapped)))
            if kind == "without" and tap in self._first:
                return replace(result, verified=self._verify(self.run_variant(variant, self.study.samples, swapped)))
            return self._apart(result, variant) if kind == "only" else result
        except QuantlabError as failure:
            return PartResult(reason=str(failure))

    def _apart(self, result: PartResult, variant: Variant) -> PartResult:
        """The result with the errors of weights and activations alone, if the converter can tell them apart."""
        write = self.subject.converter.apart
        if (
            not self._splits
            or write is None
            or not self.subject.setting.calibrated
            or not result.error
            or not result.error.mse
        ):
            return result
        errors = {}
        for kind in ("weights", "activations"):
            copy = replace(variant, path=variant.path.with_name(f"{kind}-{variant.path.name}"))
            write(variant.path, self.subject.float32.path, copy.path, kind)
            errors[kind] = self._error(self.run_variant(copy, self.samples))
        return replace(result, weights=errors["weights"], activations=errors["activations"])

    def _verified_whole(self) -> VerifiedPart | None:
        trial = next(
            trial
            for trial in self.study.trials
            if trial.setting == self.subject.setting.name and trial.runtime == PYTHON
        )
        return self._verify(mapped(trial.outputs[self.study.scored_output]))

    def _verify(self, outputs: Array) -> VerifiedPart | None:
        """Compare the answers for all scored samples with those of the float32 artifact; None without classes."""
        if not self._classes:
            return None
        baseline = next(
            trial
            for trial in self.study.trials
            if trial.setting == self.subject.float32.name and trial.runtime == PYTHON
        )
        labelled = self.study.samples.labelled and self.study.task == "classification"
        return verify_answers(
            mapped(baseline.outputs[self.study.scored_output]),
            outputs,
            mapped(self.study.samples.labels_file) if labelled else None,
            probabilities=bool(self.study.probabilities),
        )


_SHARES: Mapping[Kind, float] = {"only": 0.7, "without": 1.0}
"""Shares of the time after which the ops are no longer measured in this way."""
_STEPS: Mapping[Kind, str] = {"only": "quantize one op at a time as", "without": "keep one op at a time in float of"}

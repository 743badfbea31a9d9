"""From a model and samples to a diagnosis: nothing is converted, only the float model runs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantlab.conventions import InputFacts
from quantlab.models import identify
from quantlab.names import counted
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples import SampleOptions, indices_of, labels_of, open_samples, refuse_missing
from quantlab.statistics import looks_like_probabilities
from quantlab.study.app_outputs import AppOutputs, names_of_app, read_app, shaped_as
from quantlab.study.context import Context, naming, open_model, temporary_context
from quantlab.study.diagnosis.app import reproduce
from quantlab.study.diagnosis.feeding import Array, Feeding
from quantlab.study.diagnosis.options import DiagnoseOptions
from quantlab.study.diagnosis.probe import FedConvention, fed_conventions, try_conventions
from quantlab.study.diagnosis.truth import ClassTruth, TargetTruth, Truth
from quantlab.study.diagnosis.words import headline, note_on_labels, note_on_resize, notes_on_output
from quantlab.study.naming import as_named
from quantlab.study.options import AnalyzeOptions
from quantlab.study.reference import probe, reference_run
from quantlab.study.task import scored_output
from quantlab.types import Diagnosis, OpenedModel, SampleSet, TensorSpec

__all__ = ["diagnose"]

_MOST_BYTES = 320 * 2**20
"""Bytes of samples that are fed at most: each convention feeds them anew."""

_USUAL = 500
"""Samples that are taken if no limit is given."""

_FEWEST = 100
"""Samples that are taken however large they are."""


def diagnose(
    model: str | Path,
    *,
    data: str,
    options: DiagnoseOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Diagnosis:
    """Find out whether samples and labels follow another convention than the model.

    Only the float model runs, in Python, on a random subset of the samples, stratified by label. Nothing is kept.

    Args:
        model: A `.keras`, `.h5` or `.hdf5` file, a SavedModel folder, or an `.onnx` file.
        data: The samples: a file, a glob or an address of several, a `data.toml`, a folder of images, or
            `module:function`.
        options: Everything else.
        progress: Receives events; nothing is printed.
        registries: The known formats, runtimes and converters.

    Raises:
        QuantlabError: If the model, the data or an option is invalid, or the model cannot be run.
    """
    options = options or DiagnoseOptions()
    asked = AnalyzeOptions(seed=options.seed, model=options.model, time_limit=options.time_limit)
    file = identify(Path(model), options.model)
    refuse_missing(data)
    if options.app is not None:
        names_of_app(options.app)
    progress = progress or Silent()
    ordered = as_named(file.path, data, options.preprocessing, given=options.class_names, warn=progress.warn)
    with temporary_context(file, asked, progress, registries) as context:
        return _Diagnosing(context, replace(options, preprocessing=ordered), data).run()


@dataclass(frozen=True, slots=True)
class _Diagnosing:
    context: Context
    options: DiagnoseOptions
    data: str

    def run(self) -> Diagnosis:
        context = self.context
        model = open_model(context)
        output = scored_output(model.description, self.options.score_output)
        samples = self._samples(model)
        outputs = probe(context, model, samples).outputs
        output = next(spec for spec in outputs if spec.name == output.name)
        order = np.random.default_rng(self.options.seed).permutation(samples.n).astype(np.int64)
        feeding = Feeding(context, reference_run(context, model, outputs), samples, output.name, order)
        with naming("run the model"):
            as_is = feeding.outputs(None, slice(None))
            app = self._app(feeding, as_is, {spec.name for spec in outputs} - {output.name})
            truth = _truth(samples, output, as_is, order)
            return self._diagnosed(_Subject(feeding, as_is, [*feeding.facts(model.rescaling)], truth, app))

    def _samples(self, model: OpenedModel) -> SampleSet:
        """A random subset of the samples, stratified by label, of bounded size."""
        options, inputs = self.options, model.description.inputs
        step = f"read {self.data}"
        self.context.progress.begin(step)
        warn = self.context.progress.warn
        asked = SampleOptions(
            preprocessing=options.preprocessing,
            limit=_USUAL if options.limit is None else options.limit,
            seed=options.seed,
            labels=options.labels,
            stall_seconds=options.time_limit,
            loaders=self.context.registries.loaders,
            warn=warn,
        )
        folder = self.context.store.root / "samples"
        samples, _ = open_samples(self.data, None, model_inputs=inputs, folder=folder, options=asked, calibrate=0)
        # A limit that is asked for holds, whatever it costs.
        affordable = (
            samples.n
            if options.limit is not None
            else max(_FEWEST, int(_MOST_BYTES // max(1.0, _sample_bytes(samples))))
        )
        if samples.n > affordable:
            asked = replace(asked, limit=affordable)
            samples, _ = open_samples(self.data, None, model_inputs=inputs, folder=folder, options=asked, calibrate=0)
        self.context.progress.end(step, "done")
        return samples

    def _app(self, feeding: Feeding, as_is: Array, others: Collection[str]) -> AppOutputs | None:
        if self.options.app is None:
            return None
        path, output, samples = self.options.app, feeding.output, feeding.samples
        values = read_app(path, output, others=others, available=samples.available, source=samples.source)
        values = shaped_as(values, as_is.shape[1:], path=path, output=output)[indices_of(samples)]
        classes = as_is.ndim == 2 and as_is.shape[1] > 1
        probabilities = as_is.ndim == 2 and as_is.dtype.kind == "f" and looks_like_probabilities(as_is)
        return AppOutputs(values[feeding.order].astype(np.float64), classes, probabilities)

    def _diagnosed(self, subject: "_Subject") -> Diagnosis:
        feeding, as_is, truth, app = subject.feeding, subject.as_is, subject.truth, subject.app
        samples = feeding.samples
        diagnosis = Diagnosis(
            model=str(self.context.file.path),
            data=self.data,
            output=feeding.output,
            n=samples.n,
            available=samples.available,
            drawn=samples.drawn,
            metric=None if truth is None else truth.metric,
            score=None,
            interval=None,
            log_loss=None,
            headline="",
            notes=tuple(notes_on_output(as_is, feeding.output)) if isinstance(truth, ClassTruth) else (),
        )
        fed = [] if truth is None and app is None else fed_conventions(feeding, subject.facts)
        if truth is not None:
            reading = truth.reading(as_is, slice(None))
            score, interval = truth.score(reading)
            with self._trying(fed) as advance:
                tried = try_conventions(feeding, truth, as_is, fed, advance)
            diagnosis = replace(diagnosis, score=score, interval=interval, log_loss=reading.log_loss, tried=tried)
            if isinstance(truth, ClassTruth) and diagnosis.named is None:
                classes = as_is.shape[1] if as_is.ndim == 2 and as_is.shape[1] > 1 else 2
                diagnosis = replace(diagnosis, notes=(*diagnosis.notes, *note_on_labels(truth.labels, classes)))
        if app is not None:
            with self._trying(fed) as advance:
                diagnosis = replace(diagnosis, app=reproduce(feeding, app, as_is, fed, advance))
        if Path(self.data).is_dir():
            diagnosis = replace(diagnosis, notes=(*diagnosis.notes, *note_on_resize(diagnosis)))
        return replace(diagnosis, headline=headline(diagnosis))

    @contextmanager
    def _trying(self, fed: Sequence[FedConvention]) -> Iterator[Callable[[int], None]]:
        """Show the progress of conventions; yields what is called after each."""
        step, progress = f"try {counted(len(fed), 'convention')}", self.context.progress
        progress.begin(step, len(fed))
        yield lambda done: progress.advance(step, done)
        progress.end(step, "done")


@dataclass(frozen=True, slots=True)
class _Subject:
    """The model with its samples, and what its output is compared with."""

    feeding: Feeding
    as_is: Array
    """The output for the samples as they are."""
    facts: Sequence[InputFacts]
    truth: Truth | None
    app: AppOutputs | None


def _sample_bytes(samples: SampleSet) -> float:
    return sum(samples.input_file(spec.name).stat().st_size for spec in samples.inputs) / max(1, samples.n)


def _truth(samples: SampleSet, output: TensorSpec, as_is: Array, order: Array) -> Truth | None:
    """What the output is compared with, in the order of the samples; None without labels that it can be compared with.

    Labels are not checked against the number of classes: labels that are one too high are what is looked for.
    """
    labels = labels_of(samples)
    if labels is None or labels.dtype.hasobject or output.dtype[:5] != "float":
        return None
    labels = np.asarray(labels)[order]
    width = int(np.prod(as_is.shape[1:], dtype=np.int64))
    classes = labels.dtype.kind in "iu" and labels.ndim == 1 and (as_is.ndim == 2 or width == 1) and width > 0
    if classes and width == 1 and not _binary(labels):
        labels, classes = labels.astype(np.float64), False
    if classes:
        probabilities = as_is.ndim == 2 and looks_like_probabilities(as_is)
        return ClassTruth(labels.astype(np.int64), probabilities)
    if labels.dtype.kind == "f" and int(np.prod(labels.shape[1:], dtype=np.int64)) == width:
        return TargetTruth(labels.astype(np.float64).reshape(as_is.shape))
    return None


def _binary(labels: Array) -> bool:
    """Whether integers can be two classes, perhaps counted from 1; others are numbers that a single column predicts."""
    return bool(labels.size) and int(labels.max()) - int(labels.min()) <= 1 and -1 <= int(labels.min()) <= 1

"""`inspect`: a model and its artifacts, what they take and give, and what becomes of calls that are not right."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError, QuantlabError, UsageError
from quantlab.formats import Format, artifact_sha256, describe_given, format_of
from quantlab.formats.snippets import formula_of
from quantlab.models import ModelFile, identify
from quantlab.names import choose, listed
from quantlab.processes import ChildPool
from quantlab.processes.preload import WORKERS_WITHOUT_TENSORFLOW
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.runtimes import Runtime
from quantlab.samples import SampleOptions, open_samples
from quantlab.store import Store
from quantlab.study.attempts.registry import ATTEMPTS
from quantlab.study.chosen_settings import named_alone
from quantlab.study.context import Context, model_options, open_model, pool_for
from quantlab.study.conversions import make_variants
from quantlab.study.inspection.calls import SubjectCalls, calls_of
from quantlab.study.inspection.feeding import FedSamples, ValueRange, of_samples, range_of_port, seeded
from quantlab.study.inspection.options import InspectOptions
from quantlab.study.inspection.snippets import artifact_snippets, model_snippets
from quantlab.study.inspection.subjects import (
    Artifact,
    Subject,
    artifact_subjects,
    model_ports,
    model_subjects,
    runs_calls,
    tries_calls,
)
from quantlab.study.inspection.trying import Caller
from quantlab.study.options import AnalyzeOptions
from quantlab.types import OpenedModel, Port, SampleSet, Setting, TensorSpec
from quantlab.types.inspection import CallSnippet, ContractPort, ContractSheet, SheetArtifact

__all__ = ["inspect"]

Array = npt.NDArray[Any]

_VALUES = np.dtype(np.float32).name
"""Dtype of the values that codes of a file stand for, where its model is not there to tell."""


def inspect(
    subjects: Sequence[str | Path],
    *,
    options: InspectOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> ContractSheet:
    """Make the contract sheet of a model and its artifacts, or of artifacts alone.

    >>> import quantlab
    >>> options = quantlab.InspectOptions(runtimes=("python",))
    >>> sheet = quantlab.inspect(["model.tflite"], options=options)  # doctest: +SKIP
    >>> for port in sheet.ports:  # doctest: +SKIP
    ...     print(port.direction, port.name, port.shape, port.dtype)
    input zebra (1, 3) int8
    output yak (1, 3) int8
    >>> sheet.silent  # the calls that gave another answer without an error  # doctest: +SKIP
    ()

    Args:
        subjects: At most one model, and artifacts; without a model, the artifacts need not be of the same model.
        options: Everything else.
        progress: Receives events.
        registries: The known formats, runtimes and converters.

    Raises:
        QuantlabError: If the model or the samples cannot be opened, or an option is invalid. An artifact that cannot
            be made, read or called is a row with the reason.
    """
    options = options or InspectOptions()
    model, artifacts = _sorted(subjects, options, registries)
    runtimes = _runtimes(options, registries)
    text = ", ".join(str(subject) for subject in subjects)
    with tempfile.TemporaryDirectory(prefix="quantlab-inspect-") as folder:
        sheet = _Sheet(Path(folder), options, progress or Silent(), registries, runtimes)
        if model is not None:
            return sheet.of_model(text, model, artifacts)
        return sheet.of_artifacts(text, artifacts)


def _sorted(
    subjects: Sequence[str | Path], options: InspectOptions, registries: Registries
) -> tuple[ModelFile | None, dict[str, Path]]:
    """The model, if there is one, and the artifacts by name."""
    model: ModelFile | None = None
    artifacts = dict(options.variants)
    for path in map(Path, subjects):
        format_ = format_of(path, registries.formats)
        opened = format_ is not None and (format_.served_by_signature or (format_.exported and model is None))
        if format_ is None or opened:
            if model is not None and not path.exists():
                raise ArtifactError(f"there is no artifact at '{path}'; give a file or folder that exists")
            if model is not None:
                raise UsageError(f"'{model.path}' and '{path}' are both models; inspect them one after another")
            model = identify(path, options.model)
        elif path.name in artifacts:
            raise UsageError(f"two artifacts are called '{path.name}'; give one with --variant NAME={path}")
        else:
            artifacts[path.name] = path
    return model, artifacts


def _runtimes(options: InspectOptions, registries: Registries) -> tuple[Runtime, ...]:
    known = registries.runtimes
    if options.runtimes is None:
        return tuple(runtime for runtime in known.values() if runtime.default)
    chosen = tuple(known[name] for name in choose("runtime", list(options.runtimes), list(known)))
    calling = {runtime.name: runtime for runtime in known.values() if tries_calls(runtime, registries)}
    silent = [runtime.name for runtime in chosen if runtime.name not in calling]
    if named := [name for name in silent if name in named_alone(options.runtimes)]:
        raise UsageError(f"no calls are tried in the runtime '{named[0]}'; choose from {', '.join(calling)}")
    return tuple(runtime for runtime in chosen if runtime.name in calling)


@dataclass(slots=True)
class _Sheet:
    """The sheet while it is made."""

    folder: Path
    options: InspectOptions
    progress: Progress
    registries: Registries
    runtimes: tuple[Runtime, ...]

    def of_model(self, text: str, file: ModelFile, given: Mapping[str, Path]) -> ContractSheet:
        asked = self._analyze_options(given)
        self._settings(file.kind)  # names first, since they cost nothing
        store = Store(self.folder / "study")
        with store.locked(), pool_for(file, store.work, asked, self.registries) as pool:
            context = Context(store, pool, asked, self.progress, file, self.registries)
            model = open_model(context)
            samples = self._samples(model.description.inputs)
            fed = seeded(model.description.inputs, self.options.seed) if samples is None else of_samples(samples)
            artifacts, failed = self._artifacts(context, model, samples, given)
            own = self._own_artifact(context, model)
            models = list(model_subjects(model, model_options(context)) if own is None else self._subjects_of(own))
            subjects = [*models, *(subject for artifact in artifacts for subject in self._subjects_of(artifact))]
            calls = self._call_all(subjects, fed, pool, has_model=True)
            names = dict.fromkeys(one.artifact for one in models) if own is None else ("model",)
            known = [SheetArtifact(name, file.kind, str(file.path), file.sha256, ()) for name in names]
            snippets = [
                *(() if own is not None else model_snippets(model)),
                *(
                    snippet
                    for artifact in ([own] if own else []) + artifacts
                    for snippet in artifact_snippets(artifact)
                ),
            ]
            rows = [*known, *map(_described, artifacts), *failed]
            return self._sheet(text, dict.fromkeys((row.name for row in rows), fed), subjects, calls, rows, snippets)

    def of_artifacts(self, text: str, given: Mapping[str, Path]) -> ContractSheet:
        with ChildPool(self.folder, self.options.time_limit, WORKERS_WITHOUT_TENSORFLOW) as pool:
            subjects: list[Subject] = []
            calls: list[SubjectCalls] = []
            rows: list[SheetArtifact] = []
            snippets: list[CallSnippet] = []
            fed: dict[str, FedSamples] = {}
            for name, path in given.items():
                artifact = self._given_alone(name, path)
                own = list(self._subjects_of(artifact))
                fed[name] = self._fed_alone(artifact)
                subjects += own
                calls += self._call_all(own, fed[name], pool, has_model=False)
                rows.append(_described(artifact))
                snippets += artifact_snippets(artifact)
            if not fed:
                raise UsageError("give a model or an artifact to inspect")
            return self._sheet(text, fed, subjects, calls, rows, snippets)

    def _analyze_options(self, given: Mapping[str, Path]) -> AnalyzeOptions:
        return AnalyzeOptions(
            variants=given,
            model=self.options.model,
            preprocessing=self.options.preprocessing,
            time_limit=self.options.time_limit,
        )

    def _samples(self, inputs: tuple[TensorSpec, ...]) -> SampleSet | None:
        if self.options.data is None:
            return None
        asked = SampleOptions(
            preprocessing=replace(self.options.preprocessing, classes=None),
            stall_seconds=self.options.time_limit,
            loaders=self.registries.loaders,
            warn=self.progress.warn,
        )
        samples, _ = open_samples(
            self.options.data,
            None,
            model_inputs=inputs,
            folder=self.folder / "samples",
            options=asked,
            calibrate=0,
        )
        return samples

    def _settings(self, kind: str) -> tuple[Setting, ...]:
        known = self.registries.settings
        if self.options.settings is not None:
            chosen = [known[name] for name in choose("setting", list(self.options.settings), list(known))]
            for setting in chosen:
                if setting.calibrated or setting.tuned or setting.keeps_float:
                    raise UsageError(
                        f"'{setting.name}' needs more than the model; make it with 'quantlab convert', and give its "
                        f"file with --variant NAME=FILE"
                    )
            return tuple(chosen)
        return tuple(
            setting
            for setting in known.values()
            if not setting.quantized
            and self.registries.takes(setting, kind)
            and self.registries.formats[setting.format].as_model != kind
            and any(one.default for one in self.registries.formats[setting.format].settings)
        )

    def _artifacts(
        self, context: Context, model: OpenedModel, samples: SampleSet | None, given: Mapping[str, Path]
    ) -> tuple[list[Artifact], list[SheetArtifact]]:
        """The artifacts that could be made and read, and a row for each of the others."""
        artifacts: list[Artifact] = []
        failed: list[SheetArtifact] = []
        for setting in self._settings(context.file.kind):
            for made in make_variants(context, model, [setting], samples=samples, calibration=None):
                format_ = self.registries.formats[setting.format]
                if made.variant is None:
                    reason = made.failure.reason if made.failure else "it was not converted"
                    failed.append(SheetArtifact(setting.name, format_.name, "", "", (), failure=reason))
                else:
                    artifacts.append(Artifact.of(setting.name, format_, made.variant.path, made.variant))
        for name, path in given.items():
            try:
                variant = describe_given(name, path, model.description, self.registries.formats)
                artifacts.append(Artifact.of(name, self.registries.formats[variant.format], variant.path, variant))
            except QuantlabError as error:
                format_or_none = format_of(path, self.registries.formats)
                kind = format_or_none.name if format_or_none else ""
                failed.append(SheetArtifact(name, kind, str(path), "", (), failure=str(error)))
        return artifacts, failed

    def _given_alone(self, name: str, path: Path) -> Artifact:
        format_ = format_of(path, self.registries.formats)
        if format_ is None:
            raise ArtifactError(f"there is no artifact at '{path}'; give a model, or an artifact of a known format")
        return Artifact.of(name, format_, _served(path, format_))

    def _fed_alone(self, artifact: Artifact) -> FedSamples:
        """Samples for an artifact without its model; of codes, the values that they stand for."""
        specs = tuple(
            TensorSpec(port.name, (None, *port.shape[1:]), _VALUES if port.codes else port.dtype)
            for port in artifact.inputs
        )
        samples = self._samples(specs)
        codes = {port.name: port.codes for port in artifact.inputs if port.codes}
        return seeded(specs, self.options.seed, codes) if samples is None else of_samples(samples)

    def _own_artifact(self, context: Context, model: OpenedModel) -> Artifact | None:
        """The model as an artifact, if it already is one."""
        format_ = self.registries.format_of_model(context.file.kind)
        if format_ is None:
            return None
        inputs, outputs = model_ports(model)
        own = {port.name: port.name for port in inputs}
        return Artifact("model", format_, model.source, inputs, outputs, own, model.description.path, given=True)

    def _subjects_of(self, artifact: Artifact) -> Iterator[Subject]:
        return artifact_subjects(artifact, self.registries, self.runtimes, unsafe=self.options.model.unsafe)

    def _call_all(
        self, subjects: Sequence[Subject], fed: FedSamples, pool: ChildPool, *, has_model: bool
    ) -> list[SubjectCalls]:
        done: list[SubjectCalls] = []
        model: Mapping[str, Array] | None = None
        for place, subject in enumerate(subjects):
            step = f"call {subject.artifact} in {subject.runtime}"
            self.progress.begin(step)
            caller = Caller(subject, pool, self.folder / "calls" / f"{subject.artifact}-{place}")
            made = calls_of(caller, fed, ATTEMPTS, model)
            if has_model and model is None and made.outputs:
                model = made.outputs
            done.append(made)
            self.progress.end(step, "done")
        return done

    def _sheet(
        self,
        text: str,
        fed: Mapping[str, FedSamples],
        subjects: Sequence[Subject],
        calls: Sequence[SubjectCalls],
        artifacts: Sequence[SheetArtifact],
        snippets: Iterable[CallSnippet],
    ) -> ContractSheet:
        places: dict[str, list[str]] = {}
        for subject in subjects:
            places.setdefault(subject.artifact, []).append(subject.runtime)
        return ContractSheet(
            text,
            " and ".join(dict.fromkeys(one.words for one in fed.values())),
            self.options.data is not None,
            tuple(self._called(artifact, places.get(artifact.name, ())) for artifact in artifacts),
            tuple(_ports(subjects, calls, fed)),
            tuple(row for made in calls for row in made.rows),
            tuple(snippets),
        )

    def _called(self, artifact: SheetArtifact, places: Sequence[str]) -> SheetArtifact:
        """The row of an artifact; one that the user gave and that nothing calls has failed."""
        if artifact.failure is not None or places or not artifact.path:
            return replace(artifact, runtimes=tuple(places))
        format_ = self.registries.formats.get(artifact.kind) or self.registries.format_of_model(artifact.kind)
        others = [
            runtime.name
            for runtime in self.registries.runtimes.values()
            if format_ is not None and [*runs_calls(format_, runtime, self.registries)]
        ]
        if not others:
            return replace(artifact, failure="it is called as a model only; inspect it alone")
        asked = listed([runtime.name for runtime in self.runtimes])
        return replace(artifact, failure=f"it is not called in {asked}; choose --runtimes from {', '.join(others)}")


def _served(path: Path, format_: Format) -> Path:
    served = format_.served(path)
    return served if format_.recognizes(served) else path


def _described(artifact: Artifact) -> SheetArtifact:
    notes = artifact.format.inspect(artifact.path).notes
    return SheetArtifact(
        artifact.name,
        artifact.format.name,
        str(artifact.path) if artifact.given else "",
        artifact_sha256(artifact.path),
        (),
        notes,
    )


def _ports(
    subjects: Sequence[Subject], calls: Sequence[SubjectCalls], fed: Mapping[str, FedSamples]
) -> Iterator[ContractPort]:
    """The inputs and outputs of each artifact, with the ranges of the first of its runtimes that answered."""
    seen: dict[str, tuple[Subject, Mapping[str, ValueRange]]] = {}
    for subject, made in zip(subjects, calls, strict=True):
        if subject.artifact not in seen or not seen[subject.artifact][1]:
            seen[subject.artifact] = subject, made.ranges
    for artifact, (subject, ranges) in seen.items():
        given = fed[artifact].ranges
        for port in subject.inputs:
            yield _port(artifact, port, range_of_port(given.get(port.name), port), is_input=True)
        for port in subject.outputs:
            yield _port(artifact, port, ranges.get(port.name) if given else None, is_input=False)


def _port(artifact: str, port: Port, values: ValueRange | None, *, is_input: bool) -> ContractPort:
    codes = port.codes
    return ContractPort(
        artifact=artifact,
        direction="input" if is_input else "output",
        name=port.name,
        tensor=port.tensor,
        position=port.position,
        shape=port.shape,
        dtype=port.dtype,
        lowest=values.lowest if values else None,
        highest=values.highest if values else None,
        samples=values.samples if values else 0,
        scale=codes.scale if codes else None,
        zero_point=codes.zero_point if codes else None,
        formula=formula_of(codes, is_input=is_input) if codes else None,
    )

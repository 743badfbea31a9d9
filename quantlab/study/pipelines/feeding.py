"""The scored samples as an app's pipeline makes them: every runtime is fed these, and the reference is run on both."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import QuantlabError, RuntimeUnavailable, SamplesError, UsageError
from quantlab.foreign import reading
from quantlab.models import files_sha256
from quantlab.names import counted, shortened
from quantlab.npy import writable
from quantlab.pipelines import AppPipeline, ChosenPipeline, StepRun, Unprepared, chosen_pipelines, refuse_absent
from quantlab.preprocessing import arranged, pipeline_for, values_of
from quantlab.runtimes import create_output
from quantlab.samples import files_of, intact_samples, samples_sha256
from quantlab.samples.source import only_input
from quantlab.store import key_of
from quantlab.study.context import Context
from quantlab.study.pipelines.block import BlockSteps
from quantlab.study.pipelines.photos import Photos
from quantlab.types import ModelDescription, Pipeline, SampleSet

__all__ = ["fed_samples", "the_pipeline"]

_NAMED = 3


def the_pipeline(asked: str | None, known: Mapping[str, AppPipeline], data: str) -> ChosenPipeline | None:
    """The pipeline by which the app makes samples; None if none is named. Nothing is run.

    Args:
        asked: Its name, with modifiers.
        known: All pipelines.
        data: The samples, as the user named them.

    Raises:
        UsageError: If there is no such pipeline, several are named, or the samples are no photos.
        RuntimeUnavailable: If the pipeline does not run on this machine.
    """
    if asked is None:
        return None
    chosen = chosen_pipelines([asked], known)
    if len(chosen) != 1:
        names = shortened([f"'{one.name}'" for one in chosen], most=_NAMED)
        raise UsageError(f"the variants are fed by one pipeline, and '{asked}' names {names}; name one of them")
    if not Path(data).is_dir():
        raise UsageError(f"a pipeline makes samples of photos, and '{data}' is no folder; leave --pipeline out")
    (one,) = chosen
    try:
        for step in (one.app.decoder, one.app.resizer):
            refuse_absent(step)
    except QuantlabError as error:
        raise RuntimeUnavailable(f"the pipeline '{one.name}' does not run on this machine: {error}") from error
    return one


def fed_samples(context: Context, one: ChosenPipeline, declared: SampleSet, model: ModelDescription) -> SampleSet:
    """Make the declared samples' files into samples by a pipeline; what is stored of an earlier call is reused.

    Returns:
        The same samples in the same order, with labels, slices and groups, and other inputs.

    Raises:
        UsageError: If the model has several inputs, or the pipeline's colours or values do not fit its input.
        SamplesError: If it gives no tensor for one of the files.
    """
    spec = only_input(model.inputs, text=declared.source, kind="a folder of images")
    pipeline = pipeline_for(context.options.preprocessing, spec)
    steps = BlockSteps(StepRun(context.pool, context.store.work, {}), pipeline, (one.app,))
    places = {step.place.name: step.place.environment() for step in (one.app.decoder, one.app.resizer)}
    about = {"samples": declared.sha256, "origins": declared.origins_sha256, "declared": pipeline.sha256}
    key = key_of({**about, "photos": _photos_sha256(declared), "pipeline": one.name, "places": places})
    record = context.store.root / "samples" / "fed" / f"{key}.json"
    kept = context.store.read(record, SampleSet)
    if kept is not None and intact_samples(kept) == "intact":
        return kept
    feeding = _Feeding(context, one, pipeline, one.of(pipeline), steps, declared)
    fed = feeding.written(context.store.root / "samples" / "fed" / key)
    context.store.write(record, fed)
    return fed


def _photos_sha256(declared: SampleSet) -> str:
    """SHA-256 of the bytes of all files: pipelines read parts of them that the declared one ignores, such as profiles.

    Raises:
        SamplesError: If a file is not there any more.
    """
    digest = hashlib.sha256()
    for name in files_of(declared):
        with reading(Path(declared.source) / name, SamplesError, "restore it, or analyze the folder as it is now"):
            digest.update(bytes.fromhex(files_sha256(Path(declared.source) / name)))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Feeding:
    context: Context
    one: ChosenPipeline
    declared: Pipeline
    own: Pipeline
    """The declared one with the colour order and values of the pipeline."""
    steps: BlockSteps
    samples: SampleSet

    def written(self, folder: Path) -> SampleSet:
        """The set in a folder, which is replaced; on failure nothing is left behind."""
        for place in (folder, partial := folder.with_name(f"{folder.name}.partial")):
            shutil.rmtree(place, ignore_errors=True)
        try:
            fed = self._written(partial)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return replace(fed, folder=folder)

    def _written(self, partial: Path) -> SampleSet:
        inputs = {self.samples.input_file(spec.name).name for spec in self.samples.inputs}
        shutil.copytree(
            self.samples.folder, partial, ignore=lambda _, names: [name for name in names if name in inputs]
        )
        words = f"{self.samples.preprocessing}; the variants are fed by the pipeline '{self.one.name}' instead"
        fed = replace(self.samples, folder=partial, preprocessing=words)
        self._write(fed)
        return replace(fed, sha256=samples_sha256(fed))

    def _write(self, fed: SampleSet) -> None:
        names = files_of(fed)
        photos = Photos(names, tuple(Path(fed.source) / name for name in names), None, len(names), "")
        (spec,) = fed.inputs
        create_output(
            fed.input_file(spec.name), n=fed.n, shape=[size or 0 for size in spec.shape[1:]], dtype=spec.dtype
        )
        target = writable(fed.input_file(spec.name))
        step, progress = f"prepare {counted(fed.n, 'photo')} by {self.one.name}", self.context.progress
        progress.begin(step, fed.n)
        failures: list[str] = []
        for block in photos.blocks():
            images = self.steps.own(self.one.app, photos.paths[block.start : block.stop])
            for place, image in zip(block, images, strict=True):
                if isinstance(image, Unprepared):
                    failures.append(f"'{names[place]}' ({image.reason})")
                else:
                    target[place] = _in_range(arranged(self.declared, values_of(self.own, image)), target.dtype)
            progress.advance(step, len(block))
        self._refuse(failures)
        target.flush()
        progress.end(step, "done")

    def _refuse(self, failures: Sequence[str]) -> None:
        if failures:
            raise SamplesError(
                f"the pipeline '{self.one.name}' gives no sample for {counted(len(failures), 'photo')} of "
                f"'{self.samples.source}': {shortened(failures, most=_NAMED, separator=';')}; repair or remove them, "
                f"or see what each decoder does with them by 'quantlab diagnose --pipelines'"
            )


def _in_range(values: Any, dtype: np.dtype[Any]) -> Any:
    """Values for integers, in their range: resizers with sharp kernels leave it."""
    return values if dtype.kind == "f" else np.clip(values, np.iinfo(dtype).min, np.iinfo(dtype).max)

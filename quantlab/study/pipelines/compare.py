"""From a model and photos to the differences of pipelines: the same files, crop and values, but other libraries."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from quantlab.models import identify
from quantlab.names import counted
from quantlab.pipelines import AppPipeline, ChosenPipeline, StepKey, StepRun, Unprepared, chosen_pipelines
from quantlab.preprocessing import described, pipeline_for, values_of
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples.source import only_input
from quantlab.store import Store
from quantlab.study.context import Context, open_model, pool_for
from quantlab.study.naming import as_beside
from quantlab.study.options import AnalyzeOptions
from quantlab.study.pipelines.answers import Answering
from quantlab.study.pipelines.block import DECLARED, BlockSteps, Result
from quantlab.study.pipelines.options import PipelineOptions
from quantlab.study.pipelines.photos import Photos, kinds_of, photos_of
from quantlab.study.pipelines.results import compared
from quantlab.study.pipelines.sums import Array, KindSums, PipelineSums, steps_apart
from quantlab.study.pipelines.swaps import Swap, swaps_of
from quantlab.study.pipelines.words import pipelines_headline
from quantlab.types import PhotoFailure, Pipeline, PipelineComparison

__all__ = ["compare_pipelines"]


def compare_pipelines(
    model: str | Path,
    *,
    data: str,
    pipelines: Sequence[str],
    options: PipelineOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> PipelineComparison:
    """Turn photos into tensors by several pipelines, and compare each with the declared preprocessing.

    Only the float model runs, in Python, on the tensors of each pipeline. Nothing is kept. A file that a library
    cannot decode costs only its own row.

    Args:
        model: A `.keras`, `.h5` or `.hdf5` file, a SavedModel folder, or an `.onnx` file.
        data: A folder of photos, with or without class folders.
        pipelines: Names and globs, each with modifiers behind colons: `canvas`, `tfjs-*`, `opencv:bgr`, `tf:unit`.
        options: Everything else.
        progress: Receives events; nothing is printed.
        registries: The known pipelines, formats, runtimes and converters.

    Raises:
        QuantlabError: If the model, the data or an option is invalid, the model cannot be run, or there are more class
            folders than classes of its output.
    """
    options = options or PipelineOptions()
    chosen = chosen_pipelines(pipelines, registries.pipelines)
    asked = AnalyzeOptions(seed=options.seed, model=options.model, time_limit=options.time_limit)
    file = identify(Path(model), options.model)
    progress = progress or Silent()
    preprocessing = as_beside(file.path, data, options.preprocessing, progress.warn)
    photos = photos_of(data, classes=preprocessing.classes, limit=options.limit, seed=options.seed)
    with tempfile.TemporaryDirectory(prefix="quantlab-pipelines-") as folder:
        store = Store(Path(folder))
        with store.locked(), pool_for(file, store.work, asked, registries) as pool:
            context = Context(store, pool, asked, progress, file, registries)
            opened = open_model(context)
            spec = only_input(opened.description.inputs, text=data, kind="a folder of images")
            declared = pipeline_for(preprocessing, spec)
            comparing = _Comparing(
                context=context,
                declared=declared,
                swaps={one.name: swaps_of(one, declared) for one in chosen},
                steps=BlockSteps(StepRun(pool, store.work, {}), declared, _apps(chosen)),
                answering=Answering(context, opened, declared, options.score_output, photos.labels),
            )
            comparing.run(photos)
            return comparing.result(photos, data, chosen, described(declared, preprocessing))


def _apps(chosen: Sequence[ChosenPipeline]) -> tuple[AppPipeline, ...]:
    return tuple({one.app.name: one.app for one in chosen}.values())


@dataclass(slots=True)
class _Comparing:
    context: Context
    declared: Pipeline
    swaps: Mapping[str, tuple[Swap, ...]]
    """Name of a pipeline → itself, and itself with each step swapped."""
    steps: BlockSteps
    answering: Answering
    sums: dict[str, PipelineSums] = field(default_factory=dict)
    kinds: KindSums = field(default_factory=KindSums)
    refused: list[PhotoFailure] = field(default_factory=list)

    def run(self, photos: Photos) -> None:
        """Compare block by block."""
        self.sums = {name: PipelineSums() for name in self.swaps}
        self.steps.check()
        step, progress = f"prepare {counted(len(photos.paths), 'photo')}", self.context.progress
        progress.begin(step, len(photos.paths))
        for block in photos.blocks():
            self._add(photos, block)
            progress.advance(step, len(block))
        progress.end(step, "done")

    def _add(self, photos: Photos, block: range) -> None:
        paths = photos.paths[block.start : block.stop]
        names = photos.names[block.start : block.stop]
        decoded = self.steps.decode(paths)
        for place, path in enumerate(paths):
            kinds = kinds_of(path)
            for (where, decoder), results in decoded.items():
                if (where, decoder) not in self.steps.absent:
                    self.kinds.add(kinds, decoder, results[place], decoded[DECLARED][place])
        images = self.steps.resize(decoded, paths)
        declared = images[DECLARED, DECLARED]
        self.refused += [
            PhotoFailure(name, image.reason)
            for name, image in zip(names, declared, strict=True)
            if isinstance(image, Unprepared)
        ]
        labels = None if photos.labels is None else photos.labels[block.start : block.stop]
        self.answering.declare([_values(self.declared, image) for image in declared], labels)
        for name, (whole, *swapped) in self.swaps.items():
            if self.steps.reason(whole.app) is None:
                self._add_pipeline(self.sums[name], (whole, *swapped), images, names)

    def _add_pipeline(
        self,
        sums: PipelineSums,
        swaps: Sequence[Swap],
        images: Mapping[tuple[StepKey, StepKey], list[Result]],
        names: Sequence[str],
    ) -> None:
        whole, *swapped = swaps
        tensors: list[Array | None] = []
        for place, name in enumerate(names):
            declared = images[DECLARED, DECLARED][place]
            own = images[whole.pair][place]
            if isinstance(declared, Unprepared) or isinstance(own, Unprepared):
                if isinstance(own, Unprepared) and not isinstance(declared, Unprepared):
                    sums.failures.append(PhotoFailure(name, own.reason))
                tensors.append(None)
                continue
            expected, values = values_of(self.declared, declared), values_of(whole.pipeline, own)
            sums.photos += 1
            sums.whole.add(steps_apart(values, expected, self.declared))
            tensors.append(values)
            for swap in swapped:
                image = images[swap.pair][place]
                if not isinstance(image, Unprepared) and swap.step is not None:
                    apart = steps_apart(values_of(swap.pipeline, image), expected, self.declared)
                    sums.swapped_of(swap.step).add(apart)
        self.answering.add(sums.outputs, tensors)

    def result(self, photos: Photos, data: str, chosen: Sequence[ChosenPipeline], declared: str) -> PipelineComparison:
        """All figures."""
        answering = self.answering
        comparison = PipelineComparison(
            model=str(self.context.file.path),
            data=data,
            output=answering.output,
            declared=declared,
            n=len(photos.paths) - len(self.refused),
            available=photos.available,
            drawn=photos.drawn,
            score=answering.score,
            pipelines=tuple(compared(one, self.sums[one.name], self.steps.reason(one.app)) for one in chosen),
            kinds=self.kinds.results(),
            refused=tuple(self.refused),
            environments=self.steps.run.environments,
        )
        return replace(comparison, headline=pipelines_headline(comparison))


def _values(declared: Pipeline, image: Result) -> Array | None:
    return None if isinstance(image, Unprepared) else values_of(declared, image)

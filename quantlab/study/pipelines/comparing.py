"""Compares pipelines with the declared preprocessing block by block, and sums what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from quantlab.names import counted
from quantlab.pipelines import ChosenPipeline, StepKey, Unprepared
from quantlab.preprocessing import values_of
from quantlab.study.context import Context
from quantlab.study.pipelines.answers import Answering
from quantlab.study.pipelines.block import DECLARED, BlockSteps, Result
from quantlab.study.pipelines.photos import Photos, kinds_of
from quantlab.study.pipelines.results import compared
from quantlab.study.pipelines.sums import Array, KindSums, PipelineSums, steps_apart
from quantlab.study.pipelines.swaps import Swap
from quantlab.study.pipelines.words import pipelines_headline
from quantlab.types import PhotoFailure, Pipeline, PipelineComparison

__all__ = ["Comparing"]


@dataclass(slots=True)
class Comparing:
    """One comparison: what is compared, and its sums."""

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
        self.answering.declare(block, [_values(self.declared, image) for image in declared])
        for name, (whole, *swapped) in self.swaps.items():
            if self.steps.reason(whole.app) is None:
                self._add_pipeline(name, (whole, *swapped), images, names)

    def _add_pipeline(
        self,
        pipeline: str,
        swaps: Sequence[Swap],
        images: Mapping[tuple[StepKey, StepKey], list[Result]],
        names: Sequence[str],
    ) -> None:
        sums, (whole, *swapped) = self.sums[pipeline], swaps
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
        self.answering.add(pipeline, sums.outputs, tensors)

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
            app=answering.reproductions,
        )
        return replace(comparison, headline=pipelines_headline(comparison))


def _values(declared: Pipeline, image: Result) -> Array | None:
    return None if isinstance(image, Unprepared) else values_of(declared, image)

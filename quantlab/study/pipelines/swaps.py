"""A pipeline, and the same with one of its steps replaced by the declared one: which replacement brings it nearest."""

from dataclasses import dataclass, replace

from quantlab.pipelines import AppPipeline, ChosenPipeline, StepKey
from quantlab.study.pipelines.block import DECLARED
from quantlab.types import Pipeline, StepName

__all__ = ["Swap", "swaps_of"]


@dataclass(frozen=True, slots=True)
class Swap:
    """A pipeline with one step of the declared one, or as it is."""

    app: AppPipeline
    pair: tuple[StepKey, StepKey]
    """Keys of the decoder and the resizer."""
    pipeline: Pipeline
    """Colour order and values."""
    step: StepName | None = None
    """The step that is the declared one; None if none is."""


def swaps_of(one: ChosenPipeline, declared: Pipeline) -> tuple[Swap, ...]:
    """The pipeline as it is, then with each step in which it may differ replaced.

    Raises:
        UsageError: If its modifiers do not fit the model's channels.
    """
    app, own = one.app, one.of(declared)
    pair = (app.decoder.key, app.resizer.key)
    swaps = [Swap(app, pair, own), Swap(app, (DECLARED, app.resizer.key), own, "decode")]
    if own.colour != declared.colour:
        swaps.append(Swap(app, pair, replace(own, colour=declared.colour), "colour"))
    swaps.append(Swap(app, (app.decoder.key, DECLARED), own, "resize"))
    if (own.scale, own.offset) != (declared.scale, declared.offset):
        swaps.append(Swap(app, pair, replace(own, scale=declared.scale, offset=declared.offset), "values"))
    return tuple(swaps)

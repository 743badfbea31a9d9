"""Pipelines as users name them: `tfjs-default`, `tf*`, `canvas:unit`, `opencv:bgr`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quantlab.errors import UsageError
from quantlab.names import choose, nearest
from quantlab.pipelines.contract import AppPipeline
from quantlab.preprocessing import FAMILY_MODES, MODES, Mode, mode_of
from quantlab.types import Pipeline

__all__ = ["ChosenPipeline", "chosen_pipelines"]

_TURNED = "bgr"
"""The modifier that turns the colours around, as `cv2.imread` gives them."""


@dataclass(frozen=True, slots=True)
class ChosenPipeline:
    """A pipeline, and what the app does to the colours and values if that is not what is declared."""

    name: str
    """As the user wrote it."""
    app: AppPipeline
    mode: Mode | None = None
    """Scale, offset and perhaps the colour order; None for those that are declared."""
    turned: bool = False
    """Whether the colours are in the other order than declared."""

    def of(self, declared: Pipeline) -> Pipeline:
        """The declared pipeline with this one's colour order and values; its decoder and resizer mean nothing here.

        Raises:
            UsageError: If the mode or the order does not fit the model's channels.
        """
        pipeline = declared
        if self.mode is not None:
            colour = pipeline.colour if self.mode.colour == "auto" else self.mode.colour
            if self.mode.colour != "auto" and declared.colour == "grey":
                raise UsageError(f"the pipeline '{self.name}' scales three channels, and the model's input has one")
            pipeline = replace(pipeline, colour=colour, scale=self.mode.scale, offset=self.mode.offset)
        if self.turned:
            if declared.colour == "grey":
                raise UsageError(f"the pipeline '{self.name}' turns three channels, and the model's input has one")
            pipeline = replace(pipeline, colour="rgb" if pipeline.colour == "bgr" else "bgr")
        return pipeline


def chosen_pipelines(asked: Sequence[str], known: Mapping[str, AppPipeline]) -> tuple[ChosenPipeline, ...]:
    """The pipelines that names and globs choose, each with its modifiers, in the order in which they are named.

    Raises:
        UsageError: If a name or a modifier is unknown.
    """
    chosen: dict[str, ChosenPipeline] = {}
    for text in asked:
        glob, *modifiers = text.split(":")
        for name in choose("pipeline", [glob], tuple(known)):
            one = ChosenPipeline(":".join([name, *modifiers]), known[name])
            for modifier in modifiers:
                one = _modified(one, modifier)
            chosen[one.name] = one
    return tuple(chosen.values())


def _modified(one: ChosenPipeline, modifier: str) -> ChosenPipeline:
    if modifier == _TURNED:
        return replace(one, turned=True)
    mode = mode_of(modifier)
    if mode is None:
        raise UsageError(
            f"the pipeline '{one.name}' has the modifier '{modifier}', which is neither '{_TURNED}' nor a mode; "
            f"{nearest(modifier, [_TURNED, *MODES, *FAMILY_MODES])}"
        )
    return replace(one, mode=mode)

"""A pipeline in words: for the footer of the table, and step by step."""

from quantlab.preprocessing.geometry import ASPECTS
from quantlab.preprocessing.registry import DECODERS, RESIZERS
from quantlab.types import Pipeline, Preprocessing

__all__ = ["described", "steps_of"]

_STRETCH = next(iter(ASPECTS))


def described(pipeline: Pipeline, asked: Preprocessing) -> str:
    """Say what a pipeline does.

    Args:
        pipeline: The complete pipeline.
        asked: What was declared; numbers are shown as they were written.
    """
    height, width = pipeline.size
    parts = [f"{pipeline.colour} {height}×{width}, {_resize(pipeline)} for files of another size"]
    if pipeline.decoder != Preprocessing().decoder:
        parts.append(f"decoded by {pipeline.decoder}")
    if pipeline.central_crop < 1:
        parts.append(f"{pipeline.central_crop!r} of the centre kept")
    if pipeline.aspect != _STRETCH:
        parts.append(_aspect(pipeline))
    parts.append(f"values {_values(asked)}")
    if pipeline.layout == "channels-first":
        parts.append(pipeline.layout)
    return "; ".join(parts)


def _resize(pipeline: Pipeline) -> str:
    if pipeline.resizer in {"pillow", "pillow-12"}:
        return f"Pillow's {pipeline.resize}"
    return f"{pipeline.resize} of {pipeline.resizer}"


def _aspect(pipeline: Pipeline) -> str:
    if pipeline.aspect == "pad":
        return f"padded with {pipeline.pad_value:g}"
    side = "" if pipeline.shorter_side is None else f" from a shorter side of {pipeline.shorter_side}"
    return f"cropped to the centre{side}"


def _values(asked: Preprocessing) -> str:
    if asked.mode is not None:
        return f"0–255 as the mode '{asked.mode}'"
    if (asked.scale, asked.offset) == (1.0, 0.0):
        return "0–255 unchanged"
    if isinstance(asked.scale, tuple) or isinstance(asked.offset, tuple):
        return f"0–255 × {asked.scale!r} + {asked.offset!r}"
    sign = "−" if asked.offset < 0 else "+"
    return f"0–255 × {asked.scale!r} {sign} {abs(asked.offset)!r}"


def steps_of(pipeline: Pipeline) -> list[str]:
    """Say each step of a pipeline, in order, with its formula."""
    method = RESIZERS[pipeline.resizer].methods.get(pipeline.resize)
    steps = [f"Decode as `{DECODERS[pipeline.decoder].library}`."]
    if pipeline.colour == "grey":
        steps.append(f"Grey: `{DECODERS[pipeline.decoder].grey}`.")
    if pipeline.central_crop < 1:
        steps.append(f"Keep {pipeline.central_crop!r} of the height and the width, at the centre.")
    if method is None:
        steps.append("Refuse pictures of another size.")
    else:
        steps.append(f"Resize {_to_size(pipeline)} as `{method.equals}`: {method.formula}.")
        steps += _placed(pipeline)
    order = " in the order blue, green, red" if pipeline.colour == "bgr" else ""
    steps.append(f"Multiply by {_numbers(pipeline.scale)} and add {_numbers(pipeline.offset)}{order}, in float64.")
    if pipeline.layout == "channels-first":
        steps.append("Put the channels first: (channels, height, width).")
    return steps


def _to_size(pipeline: Pipeline) -> str:
    height, width = pipeline.size
    if pipeline.aspect == _STRETCH:
        return f"to {height}×{width}"
    if pipeline.aspect == "pad":
        return f"with the same aspect, so that it just fits into {height}×{width},"
    side = min(height, width) if pipeline.shorter_side is None else pipeline.shorter_side
    return f"with the same aspect to a shorter side of {side}"


def _placed(pipeline: Pipeline) -> list[str]:
    """What follows a resize that keeps the aspect."""
    height, width = pipeline.size
    if pipeline.aspect == _STRETCH:
        return []
    if pipeline.aspect == "pad":
        return [f"Lay it into the centre of {height}×{width} pixels of the value {pipeline.pad_value:g}."]
    return [f"Keep {height}×{width} at the centre."]


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(map(repr, values))

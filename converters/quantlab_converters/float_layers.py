"""Finds the ops and weights that `--float-layers` names, in the float32 artifact of a format.

A layer is named as the reports name it. Converters fuse layers into one op, whose tensors and weights still have the
names of all of them, so that each of them names the op.
"""

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import ConversionError
from quantlab.formats import Format
from quantlab.layer_names import layers_of
from quantlab.names import nearest_of_many
from quantlab.types import KEEPS_FLOAT, FloatLayer

__all__ = ["Part", "entry_of", "exact_name", "kept_parts", "kept_weights", "list_parts", "plain_scheme"]


@dataclass(frozen=True, slots=True)
class Part:
    """An op of a float32 artifact, which a setting quantizes or keeps in float with its weights."""

    tap: str
    """Name of the tensor that it writes; see `TapSpec.name`."""
    weights: tuple[str, ...]
    """Names of its float weights in the artifact."""
    layers: tuple[str, ...]
    """Paths of the layers that it was made from; empty if no name tells them."""
    values: int = 0
    """Number of values in these weights."""
    op: str = ""
    """Name of the op, in formats where it has another one than the tensor."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that means this op, without duplicates."""
        named = (*self.layers, self.tap, self.op, *self.weights)
        return tuple(dict.fromkeys(name for name in named if name))


def list_parts(format_: Format, float32: Path, names: Mapping[str, str] | None = None) -> tuple[Part, ...]:
    """The ops of a float32 artifact that write a float tensor or read a float weight.

    A weight belongs to the first op that reads it.

    Args:
        format_: The artifact's format. If it lists no tensors without running them, only ops with weights are found.
        float32: The artifact.
        names: Tensor that an op writes → another name that tells the op's layer.

    Raises:
        ArtifactError: If it cannot be read.
    """
    weights: dict[str, list[str]] = {}
    values: Counter[str] = Counter()
    told: dict[str, list[str]] = {}
    for tap in format_.taps(float32) if format_.taps else ():
        if tap.dtype == "float32":
            weights[tap.name], told[tap.name] = [], _told([tap.name, tap.scope, (names or {}).get(tap.name, "")])
    for weight in format_.weights(float32):
        op = weight.feeds or weight.name.rpartition("/")[0]  # Keras' weights tell only their layers
        if weight.dtype == "float32" and op and weight.values.size:
            weights.setdefault(op, []).append(weight.name)
            values[op] += weight.values.size
            scopes = told.setdefault(op, _told([op]))
            # Optimizers share scalars, such as the limits of activations, between ops of different layers.
            scopes += _told([weight.name]) if weight.values.size > 1 else []
    layers = layers_of(name for names in told.values() for name in names)
    return tuple(
        Part(tap, tuple(read), tuple(dict.fromkeys(layers[name] for name in told[tap] if layers[name])), values[tap])
        for tap, read in weights.items()
    )


def _told(names: Iterable[str]) -> list[str]:
    """The names of nodes in the names of tensors; a fused op of a TFLite file has several, joined by `;`."""
    return [part for name in names for part in name.split(";") if part]


def kept_parts(parts: Sequence[Part], asked: Iterable[str]) -> dict[Part, str]:
    """The parts that stay in float → the data type of their weights, `float32` or `float16`.

    Of several entries that name a part the last one decides.

    Args:
        parts: The parts of an artifact.
        asked: Entries of `--float-layers`.

    Raises:
        ConversionError: If an entry names nothing in this artifact; the message has similar names.
    """
    kept: dict[Part, str] = {}
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        for name in part.names:
            by_name.setdefault(name, []).append(part)
    for text in asked:
        entry = FloatLayer.read(text)
        # Names may contain brackets, which are special in globs.
        names = [entry.pattern] if entry.pattern in by_name else fnmatch.filter(by_name, entry.pattern)
        named = {part: entry.dtype for name in names for part in by_name[name]}
        if not named:
            known = dict.fromkeys(name for part in parts for name in part.layers or (part.tap,))
            raise ConversionError(
                f"--float-layers names '{entry.pattern}', and no op that can stay in float has this name; "
                f"{nearest_of_many(entry.pattern, known)}"
            )
        kept |= named
    return kept


def exact_name(part: Part, parts: Sequence[Part]) -> str:
    """An entry of `--float-layers` that names one op and no other: the first of its names that does.

    A layer often has several ops, and the tensor that the last one writes may have the layer's name. If none of the
    names is exact, the result is the name of the tensor.

    Args:
        part: The op.
        parts: All ops of the artifact.
    """
    for name in part.names:
        entry = name.replace(",", "?")  # a comma would end the entry in a command, and `?` is a glob
        with suppress(ConversionError):
            if list(kept_parts(parts, [entry])) == [part]:
                return entry
    return part.tap


def entry_of(part: Part, parts: Sequence[Part]) -> str:
    """The entry of `--float-layers` that keeps one op in float, with its weights, if it has any, as half floats."""
    name = exact_name(part, parts)
    return f"{name}:float16" if part.weights else name


def kept_weights(format_: Format, float32: Path, asked: Sequence[str]) -> dict[str, str]:
    """The weights of a float32 artifact that stay in float → their data type.

    Args:
        format_: The artifact's format.
        float32: The artifact.
        asked: Entries of `--float-layers`; without any, nothing stays in float.

    Raises:
        ConversionError: See `kept_parts`.
    """
    if not asked:
        return {}
    kept = kept_parts(list_parts(format_, float32), asked)
    return {name: dtype for part, dtype in kept.items() for name in part.weights}


def plain_scheme(scheme: str) -> str:
    """The scheme without the mark of settings that keep layers in float, and what is behind it.

    >>> plain_scheme("int8+float"), plain_scheme("int8+float 17"), plain_scheme("int8")
    ('int8', 'int8', 'int8')
    """
    return scheme.partition(KEEPS_FLOAT)[0]

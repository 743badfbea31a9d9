"""The samples on which layers are compared, and an artifact whose tensors a program can read there.

The folder is that of `write_inputs`, whose outputs are the tensors. Formats of which a tapped copy can be written have
it in the folder: any program that runs the artifact runs the copy, too. In the others, a runtime reads tensors by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.formats import Format
from quantlab.types import Inside, TapSpec, Variant

__all__ = ["TappedCopy", "layer_outputs", "layer_tensors", "write_tapped_copy"]

_STEM = "layers"


@dataclass(frozen=True, slots=True)
class TappedCopy:
    """A copy of an artifact that returns inner tensors."""

    file: Path
    outputs: Mapping[str, tuple[str, int]]
    """Tensor of the artifact → name and position of the output of the copy."""


def layer_tensors(inside: Inside, setting: str) -> tuple[str, ...]:
    """The tensors of a variant that were compared with the reference, in execution order."""
    rows = {row.tensor: row.place for row in inside.layers if row.setting == setting and row.aligned}
    return tuple(sorted(rows, key=rows.__getitem__))


def write_tapped_copy(folder: Path, variant: Variant, format_: Format) -> TappedCopy | None:
    """Write the copy, named `layers`, with the ending of the artifact; None if runtimes read the artifact itself.

    It is the copy that a study runs, with every tensor that can be read: runtimes fuse ops only if nothing else reads
    the tensor between them, and a fused op may round otherwise.

    Raises:
        ArtifactError: If the artifact cannot be read.
    """
    if format_.write_tapped is None or format_.taps is None:
        return None
    file = folder / f"{_STEM}{variant.path.suffix}"
    readable = [tap.name for tap in format_.taps(variant.path) if tap.reason is None]
    positions = format_.write_tapped(variant.path, file, frozenset(readable))
    names = {port.position: port.tensor for port in format_.inspect(file).outputs}
    return TappedCopy(
        file, {name: (names.get(place, name), place) for name, place in zip(readable, positions, strict=True)}
    )


def layer_outputs(
    variant: Variant, format_: Format, tensors: Sequence[str], copy: TappedCopy | None
) -> list[Mapping[str, Any]]:
    """What the manifest says of each tensor, as of outputs."""
    known = {tap.name: tap for tap in format_.taps(variant.path)} if format_.taps is not None else {}
    entries: list[Mapping[str, Any]] = []
    for place, name in enumerate(tensors):
        tensor, position = copy.outputs[name] if copy is not None else (name, place)
        shape = _sizes(known.get(name))
        entries.append({"name": name, "tensor": tensor, "position": position, "dtype": "float32", "shape": list(shape)})
    return entries


def _sizes(tap: TapSpec | None) -> tuple[int | None, ...]:
    """Shape of one sample; a single open size if it is not known."""
    return (None,) if tap is None or not tap.shape else tap.shape[1:]

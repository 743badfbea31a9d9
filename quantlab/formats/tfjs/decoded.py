"""Weights that a graph-model decodes itself: codes with one scale per channel, as (code − zero) · scale.

`quantlab_converters.tfjs_per_channel` writes them, since the format of tfjs weights has one scale per tensor. A `Mul`
with the scales follows the codes, a `Sub` of zeros after the codes, or the op that reads the codes; the scales, and
what the `Mul` multiplies, have names of the form `q0`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.types import StoredWeight

__all__ = ["decoded_elements", "is_added", "with_decoded"]

_Node = Mapping[str, Any]

_ADDED = re.compile(r"q\d+")


@dataclass(frozen=True, slots=True)
class _Decoding:
    """The constants from which one weight is decoded."""

    name: str
    """The weight's name in the float32 artifact."""
    codes: str
    zeros: str | None
    scales: str
    op: str = ""
    """The op that reads the codes, if its output is multiplied by the scales."""


def with_decoded(
    topology: Mapping[str, Any], weights: Iterable[StoredWeight], axes: Mapping[str, tuple[int, ...]]
) -> Iterator[StoredWeight]:
    """The weights of a graph-model, those that the graph decodes as one weight each: with codes, scales and values.

    Args:
        topology: The graph.
        weights: The constants, in the order of the manifest.
        axes: Weight → the axes that together index its output channel.
    """
    stored = {weight.name: weight for weight in weights}
    decoded = {parts.codes: parts for parts in _decodings(topology, stored)}
    others = {name for parts in decoded.values() for name in (parts.zeros, parts.scales)}
    for weight in stored.values():
        if weight.name in decoded:
            parts = decoded[weight.name]
            yield _joined(parts, stored, axes.get(parts.name, ()))
        elif weight.name not in others:
            yield weight


def decoded_elements(topology: Mapping[str, Any], weights: Iterable[StoredWeight]) -> int:
    """The number of elements of the weights that a `Mul` decodes; outputs that one multiplies do not count."""
    stored = {weight.name: weight for weight in weights}
    return sum(stored[parts.codes].stored.size for parts in _decodings(topology, stored) if not parts.op)


def is_added(name: str) -> bool:
    """Whether a node was added to the float32 graph, to decode a weight.

    >>> is_added("q0"), is_added("dense/MatMul")
    (True, False)
    """
    return _ADDED.fullmatch(name) is not None


def _decodings(topology: Mapping[str, Any], stored: Mapping[str, StoredWeight]) -> Iterator[_Decoding]:
    nodes = {node["name"]: node for node in topology["node"]}
    readers = {
        tensor: node["name"] for node in topology["node"] for tensor in node.get("input", ()) if is_added(tensor)
    }
    for node in topology["node"]:
        inputs = node.get("input", ())
        if node["op"] == "Mul" and len(inputs) == 2 and all(map(is_added, inputs)) and inputs[1] in stored:
            codes, scales = inputs
            name = _last(node["name"], readers)
            at_once = _Decoding(name, codes, None, scales)
            parts = at_once if codes in stored else _behind(name, nodes.get(codes, {}), scales, stored)
            if parts is not None and _are_codes(stored.get(parts.codes)):
                yield parts


def _last(name: str, readers: Mapping[str, str]) -> str:
    """The node with a name of the float32 artifact that follows the nodes that were added, such as a bias."""
    seen = {name}
    while is_added(name) and (reader := readers.get(name)) is not None and reader not in seen:
        seen.add(reader)
        name = reader
    return name


def _behind(name: str, source: _Node, scales: str, stored: Mapping[str, StoredWeight]) -> _Decoding | None:
    """The parts if a `Sub` of zeros, or the op itself, stands between the codes and the `Mul`."""
    read = [tensor for tensor in source.get("input", ()) if _are_codes(stored.get(tensor))]
    if source.get("op") == "Sub" and len(read) == 2:
        return _Decoding(name, read[0], read[1], scales)
    return _Decoding(read[0], read[0], None, scales, op=name) if len(read) == 1 else None


def _are_codes(weight: StoredWeight | None) -> bool:
    return weight is not None and weight.stored.dtype == np.uint8 and len(weight.scales) == 1


def _joined(parts: _Decoding, stored: Mapping[str, StoredWeight], axes: tuple[int, ...]) -> StoredWeight:
    codes, scales = stored[parts.codes], stored[parts.scales]
    zeros = stored[parts.zeros] if parts.zeros else None
    unit, rank = codes.scales[0], codes.stored.ndim
    own: npt.NDArray[np.float32] = scales.values
    if parts.op:  # its output is multiplied: by a vector of its channels
        own = own.reshape([size if axis in axes else 1 for axis, size in enumerate(codes.stored.shape)])
    values: npt.NDArray[np.float32] = (codes.values if zeros is None else codes.values - zeros.values) * own
    differing = tuple(axis for axis, size in enumerate(own.shape, rank - own.ndim) if size > 1)
    zero_points = [-round((codes.minimum or 0) / unit)] * own.size if zeros is None else zeros.stored.reshape(-1)
    return replace(
        codes,
        name=parts.name,
        keys=(parts.name,),
        size_bytes=codes.size_bytes + scales.size_bytes + (zeros.size_bytes if zeros else 0),
        values=values,
        scales=tuple(unit * float(scale) for scale in own.reshape(-1)),
        zero_points=tuple(map(int, zero_points)),
        minimum=None,
        channel_axis=differing[0] if len(differing) == 1 else None,
        channel_axes=axes if axes and max(axes) < rank else (),
        feeds=parts.op,
    )

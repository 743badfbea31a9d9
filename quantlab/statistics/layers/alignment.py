"""Alignment: finds the reference tensor that equals a variant's tensor; names are used only to break ties."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantlab.layer_names import layers_of, path_of
from quantlab.types import Alignment

__all__ = ["ALIGNMENT_TOLERANCE", "NamedTensor", "align", "layers_by_tensor", "layers_without_tensor"]

Array = NDArray[Any]

ALIGNMENT_TOLERANCE = 1e-4
"""Allowed difference, relative to the reference's largest value. A different order of summation changes values by
about 1e-6; a different tensor differs by about 1e-2."""

_PROBES = 256
"""Number of elements compared first: they rule out nearly every pair, but never accept one."""


class NamedTensor(NamedTuple):
    """A tensor with its values for a few samples."""

    name: str
    """Name in the graph or file. A fused TFLite op may have several names, joined by `;`."""
    values: Array
    """Shape (samples, …)."""
    scope: str = ""
    """A name that tells the layer if `name` does not (`TapSpec.scope`)."""


def align(
    candidates: Sequence[NamedTensor], references: Sequence[NamedTensor], *, tolerance: float = ALIGNMENT_TOLERANCE
) -> tuple[Alignment, ...]:
    """Find the reference tensor that corresponds to each tensor of a format's float32 artifact.

    A reference tensor matches if it has the same number of elements, in any shape, and every element differs by at most
    `tolerance` times the reference's largest |value|; NaN and infinities must be equal and at the same positions. If
    several match, these rules choose one, in this order:

    1. the same name, otherwise the most shared name components (`model/dense/BiasAdd` has three);
    2. the smallest difference in value;
    3. the last in execution order. Equal tensors are usually one value that passes through Identity, Reshape, or a
       ReLU without negative inputs, so each of them is correct.

    Rule 3 would be wrong for a constant tensor, such as the output of a ReLU with only negative inputs: it equals
    unrelated tensors. If rule 1 leaves tensors from more than one layer, a constant tensor is reported as ambiguous.

    Args:
        candidates: Tensors of the artifact.
        references: Tensors of the reference's graph for the same samples, in execution order.
        tolerance: Allowed difference, see above.

    Returns:
        One alignment per candidate, in the same order.
    """
    layers = layers_by_tensor(references)
    groups = _by_size(references)
    return tuple(_align_one(candidate, groups, layers, tolerance) for candidate in candidates)


def layers_by_tensor(references: Sequence[NamedTensor]) -> dict[str, str]:
    """Name of each tensor of the reference's graph → path of its layer; empty for a tensor outside every layer."""
    told = {reference.name: reference.scope or reference.name for reference in references}
    layers = layers_of(told.values())
    return {name: layers[text] for name, text in told.items()}


def layers_without_tensor(alignments: Iterable[Alignment], reference_layers: Iterable[str]) -> tuple[Alignment, ...]:
    """One entry for each reference layer without an aligned tensor, so that the table shows every layer.

    Args:
        alignments: The result of `align`.
        reference_layers: The values of `layers_by_tensor`, in execution order. Duplicates count once; empty names,
            which belong to nodes outside every layer, are ignored.
    """
    present = {alignment.layer for alignment in alignments if alignment.aligned}
    reason = "no matching layer: it was merged into another layer by the converter"
    return tuple(
        Alignment("", None, layer, reason)
        for layer in dict.fromkeys(reference_layers)
        if layer and layer not in present
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """The reference's tensors with the same number of elements, flattened."""

    names: tuple[str, ...]
    """Names in execution order."""
    values: tuple[Array, ...]
    greatest: NDArray[np.float64]
    """(tensors,): largest finite |value| of each tensor."""
    places: NDArray[np.intp]
    """(probes,): element indices of the probes."""
    probes: NDArray[np.float64]
    """(tensors, probes): values of the probes."""

    def least_differences(self, values: Array) -> NDArray[np.float64]:
        """(tensors,): lower bound of the difference from each tensor, computed from the probes."""
        differences = _differences(values[self.places].astype(np.float64), self.probes).max(axis=1)
        return np.array([_relative(*pair) for pair in zip(differences, self.greatest, strict=True)])

    def difference(self, index: int, values: Array) -> float:
        """Largest difference from one tensor, relative to that tensor's largest value."""
        return _relative(float(_differences(values, self.values[index]).max()), float(self.greatest[index]))


def _by_size(references: Sequence[NamedTensor]) -> dict[int, _Group]:
    sizes: dict[int, list[NamedTensor]] = defaultdict(list)
    for reference in references:
        if reference.values.dtype.kind == "f" and reference.values.size:
            sizes[reference.values.size].append(reference)
    return {size: _group(size, members) for size, members in sizes.items()}


def _group(size: int, members: Sequence[NamedTensor]) -> _Group:
    # Random positions: with a fixed stride all probes could fall into the same channel.
    places = np.random.default_rng(0).integers(size, size=min(_PROBES, size))
    values = tuple(member.values.reshape(-1) for member in members)
    return _Group(
        names=tuple(member.name for member in members),
        values=values,
        greatest=np.array([_greatest(tensor) for tensor in values]),
        places=places,
        probes=np.stack([tensor[places].astype(np.float64) for tensor in values]),
    )


def _align_one(
    candidate: NamedTensor, groups: Mapping[int, _Group], layers: Mapping[str, str], tolerance: float
) -> Alignment:
    values = candidate.values.reshape(-1)
    if reason := _unfit(candidate.values, groups):
        return Alignment(candidate.name, None, candidate.name, reason)
    group = groups[values.size]
    least = group.least_differences(values)
    near = {int(index): group.difference(int(index), values) for index in np.flatnonzero(least <= tolerance)}
    matches = {index: difference for index, difference in near.items() if difference <= tolerance}
    if not matches:
        return Alignment(candidate.name, None, candidate.name, _why_none(candidate.values, group, least))
    return _choose(candidate, group, matches, layers)


def _unfit(values: Array, groups: Mapping[int, _Group]) -> str | None:
    if values.dtype.kind != "f":
        return f"not a float tensor: it holds {values.dtype}"
    if not values.size:
        return "it has no elements"
    if values.size not in groups:
        return f"no reference tensor has {_sample_size(values)} elements per sample"
    return None


def _choose(
    candidate: NamedTensor, group: _Group, matches: Mapping[int, float], layers: Mapping[str, str]
) -> Alignment:
    alike = {index: _likeness(candidate.name, group.names[index]) for index in matches}
    best = [index for index in matches if alike[index] == max(alike.values())]
    if reason := _ambiguity(candidate.values, [group.names[index] for index in best], layers):
        return Alignment(candidate.name, None, candidate.name, reason)
    chosen = group.names[max(best, key=lambda index: (-matches[index], index))]
    # Graph outputs belong to no layer and equal the value of the layer that produced them.
    named = [layers[group.names[index]] for index in sorted(matches) if layers[group.names[index]]]
    return Alignment(candidate.name, chosen, layers[chosen] or (named[-1] if named else candidate.name))


def _likeness(candidate: str, reference: str) -> tuple[bool, int]:
    """Whether the names are equal, and how many components they share; the best result over a fused op's names."""
    theirs = path_of(reference)
    ours = [path_of(name) for name in candidate.split(";")]
    return max((path == theirs, sum((Counter(path) & Counter(theirs)).values())) for path in ours)


def _ambiguity(values: Array, names: Sequence[str], layers: Mapping[str, str]) -> str | None:
    first_of_layer = {layers[name]: name for name in reversed(names)}
    if len(first_of_layer) == 1 or values.min() != values.max():
        return None
    listed = " and ".join(f"'{name}'" for name in names if name in first_of_layer.values())
    return f"ambiguous: it is {values.min():g} everywhere, and so are {listed}, of different layers"


def _why_none(values: Array, group: _Group, least: NDArray[np.float64]) -> str:
    if len(values) > 1 and np.array_equal(values, np.broadcast_to(values[:1], values.shape), equal_nan=True):
        return "it is the same for every sample, so weights alone determine it, and the reference has no such tensor"
    nearest, index = _nearest(values.reshape(-1), group, least)
    if math.isfinite(nearest):
        return f"the nearest reference tensor '{group.names[index]}' differs by {nearest:.2g} of its maximum"
    if not np.isfinite(values).all():
        return "it holds NaN or infinity where no reference tensor does"
    return f"every reference tensor with {_sample_size(values)} elements per sample is 0 everywhere or not finite"


def _nearest(values: Array, group: _Group, least: NDArray[np.float64]) -> tuple[float, int]:
    """Smallest difference and index of that tensor; skips tensors whose probes already differ by more."""
    best = (math.inf, -1)
    for index in np.argsort(least, kind="stable"):
        if least[index] >= best[0]:
            break
        best = min(best, (group.difference(int(index), values), int(index)))
    return best


def _differences(values: Array, reference: Array) -> Array:
    """Elementwise |difference|; 0 if both are the same infinity or both NaN, infinite for other non-finite pairs."""
    with np.errstate(invalid="ignore", over="ignore"):
        differences: Array = np.abs(values - reference)
    if np.isfinite(differences.max()):
        return differences
    same = (values == reference) | (np.isnan(values) & np.isnan(reference))
    differences[~np.isfinite(differences)] = math.inf
    differences[same] = 0
    return differences


def _relative(difference: float, greatest: float) -> float:
    if difference == 0:
        return 0.0
    return difference / greatest if greatest else math.inf


def _greatest(values: Array) -> float:
    greatest = max(abs(float(values.min())), abs(float(values.max())))
    if math.isfinite(greatest):
        return greatest
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _sample_size(values: Array) -> int:
    return values.size // len(values)

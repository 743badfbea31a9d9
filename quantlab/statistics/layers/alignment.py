"""Which of the reference's tensors each tensor of a variant is: by value, and by name where values are equal."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.layers.layer_names import layers_of, path_of
from quantlab.types import Alignment

__all__ = ["ALIGNMENT_TOLERANCE", "NamedTensor", "align", "layers_without_tensor"]

Array = NDArray[Any]

ALIGNMENT_TOLERANCE = 1e-4
"""Of the reference's greatest value. Kernels that sum in another order differ by some 1e-6, another tensor by 1e-2."""

_PROBES = 256
"""Elements that are looked at before all are: they refute nearly every pair, and accept none."""


class NamedTensor(NamedTuple):
    """What a tensor held for a few samples."""

    name: str
    """The graph's or file's name for it. A TFLite name may be several, of the ops that were fused, joined by `;`."""
    values: Array
    """(samples, …)."""


def align(
    candidates: Sequence[NamedTensor], references: Sequence[NamedTensor], *, tolerance: float = ALIGNMENT_TOLERANCE
) -> tuple[Alignment, ...]:
    """Find for each tensor of a format's float32 artifact the reference's tensor that it computes.

    A reference tensor matches if it has as many elements, in whatever shape, and each of the candidate's is within
    `tolerance` times the reference's greatest |value| of its own; NaN and infinities must be the same, in the same
    places. Of several that match, the one is taken

    1. whose name is the candidate's, else shares the most components with it (`model/dense/BiasAdd` has three);
    2. that is nearest in value;
    3. that is the last in order of execution. Equal values are one value on its way through Identity, Reshape, or a
       ReLU that had nothing to cut: each of them is right.

    That fails for a tensor that is one number everywhere, as behind a ReLU that cut everything: it equals tensors that
    it has nothing to do with. Where step 1 leaves those of more than one layer, it is ambiguous.

    Args:
        candidates: Of the artifact.
        references: Of the reference's graph, for the same samples, in order of execution.
        tolerance: See above.

    Returns:
        One for each candidate, in their order.
    """
    layers = layers_of(reference.name for reference in references)
    groups = _by_size(references)
    return tuple(_align_one(candidate, groups, layers, tolerance) for candidate in candidates)


def layers_without_tensor(alignments: Iterable[Alignment], reference_layers: Iterable[str]) -> tuple[Alignment, ...]:
    """List each layer of the reference that no aligned tensor stands for, so that the table does not leave it out.

    Args:
        alignments: What `align` found.
        reference_layers: The values of `layers_of`, in order of execution. One that comes again counts once, and the
            empty one, of nodes outside of every layer, is none.
    """
    present = {alignment.layer for alignment in alignments if alignment.aligned}
    reason = "has no tensor of its own in this variant: it is fused into another"
    return tuple(
        Alignment("", None, layer, reason)
        for layer in dict.fromkeys(reference_layers)
        if layer and layer not in present
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """The reference's tensors of one size, flattened."""

    names: tuple[str, ...]
    """In order of execution."""
    values: tuple[Array, ...]
    greatest: NDArray[np.float64]
    """(tensors,), the greatest finite |value| of each."""
    places: NDArray[np.intp]
    """(probes,), of which elements the probes are."""
    probes: NDArray[np.float64]
    """(tensors, probes)"""

    def least_differences(self, values: Array) -> NDArray[np.float64]:
        """(tensors,), what each differs by at least, from the probes alone."""
        differences = _differences(values[self.places].astype(np.float64), self.probes).max(axis=1)
        return np.array([_relative(*pair) for pair in zip(differences, self.greatest, strict=True)])

    def difference(self, index: int, values: Array) -> float:
        """The greatest difference from a tensor, as a share of the tensor's greatest value."""
        return _relative(float(_differences(values, self.values[index]).max()), float(self.greatest[index]))


def _by_size(references: Sequence[NamedTensor]) -> dict[int, _Group]:
    sizes: dict[int, list[NamedTensor]] = defaultdict(list)
    for reference in references:
        if reference.values.dtype.kind == "f" and reference.values.size:
            sizes[reference.values.size].append(reference)
    return {size: _group(size, members) for size, members in sizes.items()}


def _group(size: int, members: Sequence[NamedTensor]) -> _Group:
    # Drawn, since every n-th element could be of the same channel each time.
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
        return f"no reference tensor has its {_sample_size(values)} elements a sample"
    return None


def _choose(
    candidate: NamedTensor, group: _Group, matches: Mapping[int, float], layers: Mapping[str, str]
) -> Alignment:
    alike = {index: _likeness(candidate.name, group.names[index]) for index in matches}
    best = [index for index in matches if alike[index] == max(alike.values())]
    if reason := _ambiguity(candidate.values, [group.names[index] for index in best], layers):
        return Alignment(candidate.name, None, candidate.name, reason)
    chosen = group.names[max(best, key=lambda index: (-matches[index], index))]
    # The graph's outputs stand outside of every layer, and are the value that one of them made.
    named = [layers[group.names[index]] for index in sorted(matches) if layers[group.names[index]]]
    return Alignment(candidate.name, chosen, layers[chosen] or (named[-1] if named else candidate.name))


def _likeness(candidate: str, reference: str) -> tuple[bool, int]:
    """Whether a name is the reference's, and how many components it shares with it; the best of a fused op's names."""
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
        return "it is the same for every sample, made of weights alone, and the reference has no such tensor"
    nearest, index = _nearest(values.reshape(-1), group, least)
    if math.isfinite(nearest):
        return f"the nearest reference tensor '{group.names[index]}' differs by {nearest:.2g} of its maximum"
    if not np.isfinite(values).all():
        return "it holds NaN or infinity where no reference tensor does"
    return f"every reference tensor of its {_sample_size(values)} elements a sample is 0 everywhere or not finite"


def _nearest(values: Array, group: _Group, least: NDArray[np.float64]) -> tuple[float, int]:
    """The least difference and whose it is; tensors whose probes alone differ by more are not looked at."""
    best = (math.inf, -1)
    for index in np.argsort(least, kind="stable"):
        if least[index] >= best[0]:
            break
        best = min(best, (group.difference(int(index), values), int(index)))
    return best


def _differences(values: Array, reference: Array) -> Array:
    """Element by element; 0 for the same infinity or NaN twice, infinite where only one is, or they are others."""
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

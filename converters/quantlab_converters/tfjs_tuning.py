"""The weights of a graph-model as a search sees them: kernels, the ways to store each, and what each way costs."""

import functools
import operator
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.types import KernelChoice, Sharing, TunedWeights
from quantlab_converters.gptq import inverse_factors
from quantlab_converters.hessians import HessianSums, to_steps
from quantlab_converters.packed_arrays import pack
from quantlab_converters.tfjs_coded_graph import FloatGraph, narrowed, placed
from quantlab_converters.tfjs_kernel_uses import KernelUse, find_uses
from quantlab_converters.tfjs_per_channel import SLOWER
from quantlab_converters.tfjs_rounding import hessians_of, noise_of, round_kernel
from quantlab_converters.tfjs_tuned import decided, weights_sha256, write_tuned
from quantlab_converters.tunable import KernelOption

__all__ = ["TunableGraph"]

Array = NDArray[Any]

MOST_INPUTS = 4096
"""Inputs of a matrix above which its Hessian is not summed: it would take more than 134 MB."""
_MOST_POSITIONS = 1024
"""Positions of an image that are summed for each sample and channel, evenly spread; neighbours are alike."""
_JSON_BYTES = {"channel": (515, 40), "tensor": (115, 22), None: (75, 10)}
"""Bytes that a kernel adds to `model.json`, and what is left of them after deflate; measured on MobileNetV1 0.25."""
_FACTOR_BYTES = 256 << 20
"""Factors of Hessians that are kept: they take longer than rounding, but as much memory as the Hessians."""
_WINDOW_BYTES = 1 << 14
"""Half of how far deflate looks back."""
_FEWEST_HALVES = 8
"""Values below which a weight is not worth being stored as half floats."""


@dataclass(slots=True)
class _Factors:
    """Factors of the Hessians that were used last."""

    kept: dict[tuple[HessianSums, bool], Array] = field(default_factory=dict)
    """Sums, and whether the bias is corrected → factors, those that were used last at the end."""

    def of(self, sums: HessianSums, choice: KernelChoice) -> Array:
        """The factors for a choice; others are dropped if all take too much memory."""
        key = (sums, choice.corrected)
        factors = self.kept.pop(key, None)
        if factors is None:
            factors = inverse_factors(hessians_of(sums, choice))
        self.kept[key] = factors
        while len(self.kept) > 1 and sum(one.nbytes for one in self.kept.values()) > _FACTOR_BYTES:
            self.kept.pop(next(iter(self.kept)))
        return factors


@dataclass(frozen=True, eq=False)
class TunableGraph:
    """The float32 graph-model whose weights are tuned; see `TunableWeights`."""

    folder: Path
    graph: FloatGraph
    uses: Mapping[str, KernelUse]
    _factors: _Factors = field(default_factory=_Factors)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the folder of a float32 graph-model.

        Raises:
            ArtifactError: If it cannot be read.
        """
        graph = FloatGraph.read(folder)
        return cls(folder, graph, find_uses(graph))

    @functools.cached_property
    def copies(self) -> dict[str, tuple[str, ...]]:
        """Kernel → itself and its copies, of those that can be coded: an unrolled layer has one for each step.

        Copies share their sums and codes, so that they stay equal, and compress like one kernel.
        """
        copies: dict[tuple[Any, ...], list[str]] = {}
        for name, values in self.graph.codable.items():
            if np.isfinite(values).all():
                use = self.uses[name]
                copied = (use.kind, use.axes, use.window, use.size) if use.bias is None else name
                copies.setdefault((copied, values.shape, values.tobytes()), []).append(name)
        return {names[0]: tuple(names) for names in copies.values()}

    @property
    def kernels(self) -> dict[str, int]:
        """See `TunableWeights`; kernels with NaN or infinity stay as they are."""
        return {name: len(copies) * self.graph.weights[name].size for name, copies in self.copies.items()}

    @property
    def tensors(self) -> tuple[str, ...]:
        """See `TunableWeights`."""
        return tuple(dict.fromkeys(tensor for name in self.copies for tensor in self._inputs(name)))

    def _inputs(self, kernel: str) -> tuple[str, ...]:
        """The tensors that are multiplied with a kernel or its copies; empty if its Hessian is not summed."""
        if not self._is_summed(kernel) or not all(self.uses[name].inputs for name in self.copies[kernel]):
            return ()
        return tuple(tensor for name in self.copies[kernel] for tensor in self.uses[name].inputs)

    def _is_summed(self, kernel: str) -> bool:
        return bool(np.isfinite(self.graph.weights[kernel]).all()) and self._matrix(kernel).shape[1] <= MOST_INPUTS

    def _matrix(self, kernel: str) -> Array:
        return self.uses[kernel].matrix(self.graph.weights[kernel])

    @property
    def swappable(self) -> bool:
        """See `TunableWeights`; weights in loops and functions cannot be swapped."""
        plain = {
            node["name"] for node in self.graph.topology["node"] if node["op"] == "Const" and not node.get("input")
        }
        return all(name in plain for name, values in self.graph.weights.items() if values.dtype == np.float32)

    def sums_of(self, values: Mapping[str, Array], bounds: Mapping[str, float]) -> dict[str, HessianSums]:
        """See `TunableWeights`."""
        found = {}
        for name in self.copies:
            if (inputs := self._inputs(name)) and all(tensor in values for tensor in inputs):
                try:
                    found[name] = self._sums(name, values, bounds)
                except ValueError:  # see below; then the nearest codes are chosen
                    continue
        return found

    def _sums(self, kernel: str, values: Mapping[str, Array], bounds: Mapping[str, float]) -> HessianSums:
        """The sums over all tensors that are multiplied with a kernel.

        Raises:
            ValueError: If one of them is not finite, all are 0, or this reader of graphs does not know how they are
                multiplied, as in groups.
        """
        use, inputs = self.uses[kernel], self._matrix(kernel).shape[1]
        tensors = self._inputs(kernel)
        bound = float(np.max([bounds[tensor] for tensor in tensors]))  # NaN if one of them is
        parts = (use.rows(to_steps(values[tensor], bound), inputs, _MOST_POSITIONS) for tensor in tensors)
        return functools.reduce(operator.add, (HessianSums.of_steps(rows, bound) for rows in parts))

    def option(self, kernel: str, sums: HessianSums | None, choice: KernelChoice | None) -> KernelOption:
        """See `TunableWeights`."""
        values = self.graph.weights[kernel]
        if choice is None:
            half = narrowed(values)
            hessians = None if sums is None else sums.hessians
            matrix, stored = (self.uses[kernel].matrix(one).astype(np.float64) for one in (values, half))
            noise = noise_of(matrix, stored, hessians, "channel")
            return KernelOption(None, None, noise, *self._bytes(kernel, [half.tobytes()], None))
        factors = None
        if sums is None:  # so nothing tells which errors cancel out
            choice = replace(choice, rounding="nearest", corrected=False)
        elif choice.rounding == "gptq":
            factors = self._factors.of(sums, choice)
        rounded = round_kernel(self.uses[kernel], values, sums, choice, factors=factors)
        codes = rounded.codes
        parts = [part.tobytes() for part in (codes.codes, codes.scales, codes.zeros) if part.ndim]
        sharing = "channel" if codes.scales.ndim else "tensor"
        return KernelOption(choice, rounded, rounded.noise, *self._bytes(kernel, parts, sharing))

    def _bytes(self, kernel: str, parts: Sequence[bytes], sharing: str | None) -> tuple[int, int]:
        """Bytes after and before deflate, which finds a copy of a kernel again if it is not far away."""
        raw, deflated = _JSON_BYTES[sharing]
        copies, size = len(self.copies[kernel]), sum(map(len, parts))
        repeated = copies if size > _WINDOW_BYTES else 1
        return repeated * sum(map(_deflated, parts)) + copies * deflated, copies * (size + raw)

    def choice(self, kernel: str, bits: int, sharing: Sharing) -> KernelChoice:
        """See `TunableWeights`."""
        use = self.uses[kernel]
        return KernelChoice(bits, sharing, "gptq" if use.inputs else "nearest", corrected=use.bias is not None)

    def affordable(self, gains: Mapping[str, float], options: Mapping[str, KernelOption]) -> frozenset[str]:
        """See `TunableWeights`; the graph becomes at most 5 % slower by the estimate."""
        work, chosen = self.graph.work, set[str]()
        left = SLOWER * work.microseconds
        times = {
            name: len(self.copies[name]) * placed(name, option.rounded.codes, work).microseconds
            for name, option in options.items()
            if option.rounded is not None and option.rounded.codes.scales.ndim
        }
        for name in sorted(times, key=lambda name: (-gains[name] / times[name], name)):
            if gains[name] > 0 and times[name] <= left:
                chosen.add(name)
                left -= times[name]
        return frozenset(chosen)

    @property
    def halves(self) -> dict[str, int]:
        """See `TunableWeights`; kernels in loops are among them, which nodes of the main graph cannot decode."""
        kernels = {name for copies in self.copies.values() for name in copies}
        return {
            name: values.size
            for name, values in self.graph.weights.items()
            if values.dtype == np.float32
            and name not in kernels
            and values.size >= _FEWEST_HALVES
            and narrowed(values).dtype == np.float16
        }

    def tuned(self, options: Mapping[str, KernelOption], halves: Collection[str]) -> TunedWeights:
        """See `TunableWeights`."""
        kernels, biases, narrow = [], {}, [*halves]
        for name, option in options.items():
            if option.rounded is None or option.choice is None:
                narrow += self.copies[name]
                continue
            decision = decided(name, self.graph.weights[name], option.rounded.codes, option.choice)
            kernels += [replace(decision, name=copy) for copy in self.copies[name]]
            bias = self.uses[name].bias
            if option.choice.corrected and bias is not None and option.rounded.shift is not None:
                values = self.graph.weights[bias]
                biases[bias] = pack(values + option.rounded.shift.reshape(values.shape))
        return TunedWeights(weights_sha256(self.graph), tuple(kernels), tuple(narrow), biases)

    def write(self, tuned: TunedWeights, folder: Path) -> None:
        """See `TunableWeights`."""
        write_tuned(self.folder, folder, tuned)


def _deflated(data: bytes) -> int:
    return len(zlib.compress(data, 9))

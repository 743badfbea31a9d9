"""Runs sub-graphs of an artifact on given arrays, and compares them with the baseline's values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.differences import Difference, difference
from quantlab.errors import TrialError, UsageError
from quantlab.formats import Format
from quantlab.processes import ChildPool
from quantlab.registries import Registries
from quantlab.runtimes import Runtime
from quantlab.study.attempts.contract import Feed, Passed
from quantlab.study.inspection.subjects import Artifact, Subject, artifact_subjects
from quantlab.study.inspection.trying import Caller
from quantlab.types.reduction import CutGraph

__all__ = ["Cutting", "apart", "graph_of", "run_file"]

Array = npt.NDArray[Any]
Values = Mapping[str, Array]
"""Name of a tensor → its values for one sample."""


def graph_of(format_: Format, path: Path) -> CutGraph:
    """The graph of an artifact.

    Raises:
        UsageError: If artifacts of its format cannot be cut.
    """
    if format_.cut_graph is None or format_.write_cut is None:
        raise UsageError(
            f"a file of the format '{format_.name}' cannot be cut yet; 'quantlab show layers' names the first "
            f"tensor that differs"
        )
    return format_.cut_graph(path)


def run_file(
    format_: Format, path: Path, arrays: Sequence[Array], *, where: tuple[Runtime, Registries, ChildPool]
) -> list[Array]:
    """Run a file on arrays in the order of its inputs, and return its outputs in its order.

    Raises:
        TrialError: If the runtime refuses the file or the arrays.
    """
    runtime, registries, pool = where
    subject = _subject(format_, path, runtime, registries)
    feeds = tuple(
        Feed(subject.own_names[port.name], np.ascontiguousarray(values))
        for port, values in zip(subject.inputs, arrays, strict=True)
    )
    ways: tuple[Passed, Passed] = ("in order", "by name")
    answers = Caller(subject, pool, path.with_name(f"{path.name}-calls")).call([(feeds, way) for way in ways])
    for answer in answers:
        if answer.refused is None:
            return [values for _, values in answer.outputs]
    raise TrialError(f"{runtime.name} refuses the sub-graph '{path.name}': {answers[-1].refused}")


def _subject(format_: Format, path: Path, runtime: Runtime, registries: Registries) -> Subject:
    if not format_.python.raw and format_.python.parts is not None:
        format_ = replace(format_, python=replace(format_.python, raw={"part": format_.python.parts}))
    artifact = Artifact.of(path.name, format_, path)
    found = next(artifact_subjects(artifact, registries, (runtime,), unsafe=False), None)
    if found is None:
        raise UsageError(
            f"sub-graphs of a file of the format '{format_.name}' cannot run in '{runtime.name}'; name another"
        )
    return found


@dataclass(slots=True)
class Cutting:
    """One artifact that is cut, where its sub-graphs run, and the baseline's values that they are fed."""

    format: Format
    path: Path
    where: tuple[Runtime, Registries, ChildPool]
    folder: Path
    """Receives the sub-graphs."""
    _made: int = field(default=0)

    def values(self, inputs: Values, names: Sequence[str]) -> dict[str, Array]:
        """Run the whole artifact, and return the named tensors.

        Args:
            inputs: Every input of the artifact by its name.
            names: Tensors to read.
        """
        subgraph = self.write(inputs, names)
        outputs = run_file(self.format, subgraph, list(inputs.values()), where=self.where)
        return dict(zip(names, outputs, strict=True))

    def write(self, inputs: Values, outputs: Sequence[str]) -> Path:
        """Write the sub-graph that computes some tensors from others, for values of these shapes."""
        if self.format.write_cut is None:
            raise ValueError(f"the format '{self.format.name}' cannot be cut")
        self._made += 1
        target = self.folder / f"{self._made}{'' if self.format.entry else self.path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.format.write_cut(self.path, target, {name: one.shape for name, one in inputs.items()}, outputs)
        return target

    def apart(self, baseline: Values, inputs: Sequence[str], output: str) -> Difference:
        """Run a sub-graph on the baseline's values, and compare its output with the baseline's."""
        fed = {name: baseline[name] for name in inputs}
        (found,) = run_file(self.format, self.write(fed, [output]), list(fed.values()), where=self.where)
        return apart(baseline[output], found)


def apart(one: Array, other: Array) -> Difference:
    """Compare two arrays; of different shapes, everything differs."""
    return difference(one, other) if one.shape == other.shape else Difference(np.inf, 0.0)

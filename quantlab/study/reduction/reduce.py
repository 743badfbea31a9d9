"""`reduce`: the smallest sub-graph of an artifact, and the sample, that still differ from the baseline."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.differences import largest_place
from quantlab.errors import StudyError, UsageError
from quantlab.formats import Format
from quantlab.formats.affine import decode, encode
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.names import nearest
from quantlab.npy import mapped
from quantlab.processes import ChildPool
from quantlab.processes.preload import WORKERS_WITHOUT_TENSORFLOW
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.store import Store
from quantlab.study.integrity import intact_variant
from quantlab.study.reduction.folder import Evidence, write_folder
from quantlab.study.reduction.running import Cutting, apart, graph_of, run_file
from quantlab.study.reduction.search import Found, SubGraph, smallest_subgraph
from quantlab.types import PYTHON, Study, Trial, Variant
from quantlab.types.reduction import CutGraph, Reduction

__all__ = ["ReduceOptions", "reduce_study"]

Array = npt.NDArray[Any]

_STALL_SECONDS = 600.0
"""After which a runtime that says nothing is ended, as in a study."""

_OF_OUTPUT = 0.5
"""Default threshold, as a share of the difference of the outputs."""


@dataclass(frozen=True, slots=True)
class ReduceOptions:
    """Which trial is reduced, and where the result is written."""

    setting: str
    """The setting, or the name of a variant that the user gave."""
    runtime: str = PYTHON
    threshold: float | None = None
    """Share of a tensor's largest value from which it counts as different; None takes half of the share by which the
    outputs differ for the worst sample."""
    out: Path | None = None
    """The folder to write, which must not exist; None is `<setting>-<runtime>.reduced` in the current folder."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The trial that differs, and the trial with which it is compared."""

    study: Study
    trial: Trial
    variant: Variant
    baseline: Trial
    base: Variant
    format: Format


def reduce_study(
    folder: str | Path, options: ReduceOptions, *, progress: Progress | None = None, registries: Registries = REAL
) -> Reduction:
    """Find the sub-graph, and write it with its input, both outputs, a script and a text for an issue.

    In Python, a variant is compared with the float32 artifact of its format; in another runtime, with itself in Python.

    Args:
        folder: A study.
        options: Which trial is reduced, and where the result is written.
        progress: Receives events.
        registries: The known formats and runtimes.

    Raises:
        UsageError: If the study has no such trial, nothing differs, or the format cannot be cut.
        StudyError: If an artifact is missing or damaged, or the folder exists.
        TrialError: If a sub-graph cannot run.
    """
    study = Store(Path(folder)).read_study()
    refuse_scores_only(study, "'quantlab reduce'")
    pair = _pair(study, options.setting, options.runtime, registries)
    target = options.out or Path(f"{options.setting}-{options.runtime}.reduced")
    if target.exists():
        raise StudyError(f"'{target}' exists already; choose another --out, or remove it")
    wanted = _wanted(pair, options)
    with (
        tempfile.TemporaryDirectory(prefix="quantlab-reduce-") as work,
        ChildPool(Path(work), _STALL_SECONDS, WORKERS_WITHOUT_TENSORFLOW) as pool,
    ):
        cuts = _Cuts.of(pair, Path(work), pool, registries)
        search = _searched(pair, cuts, wanted, progress or Silent())
        evidence = _evidence(pair, search, cuts)
        reduction = _reduction(pair, wanted, search, evidence, target)
        write_folder(target, reduction, evidence)
    return reduction


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is searched."""

    sample: int
    """Index of the scored sample whose outputs differ most."""
    output_share: float
    """How far they differ, as `Reduction.output_share`."""
    threshold: float


def _wanted(pair: _Pair, options: ReduceOptions) -> _Wanted:
    sample, share = _worst_sample(pair)
    if share == 0:
        raise UsageError(
            f"the outputs of '{options.setting}' in '{options.runtime}' equal those of {_named(pair)}; nothing to "
            f"reduce"
        )
    # NaN and infinity have the share 1 of every tensor.
    usual = _OF_OUTPUT * min(share, 1.0)
    return _Wanted(sample, share, usual if options.threshold is None else options.threshold)


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The two artifacts that are cut."""

    variant: Cutting
    baseline: Cutting

    @classmethod
    def of(cls, pair: _Pair, work: Path, pool: ChildPool, registries: Registries) -> "_Cuts":
        """Cut below a folder, and run in the trial's runtime and in Python."""
        runtime = registries.runtimes[pair.trial.runtime]
        return cls(
            Cutting(pair.format, pair.variant.path, (runtime, registries, pool), work / "a"),
            Cutting(pair.format, pair.base.path, (registries.python, registries, pool), work / "b"),
        )


@dataclass(frozen=True, slots=True)
class _Searched:
    """The graph of the variant, the baseline's values of its tensors, and what was found."""

    graph: CutGraph
    baseline: Mapping[str, Array]
    found: Found


def _searched(pair: _Pair, cuts: _Cuts, wanted: _Wanted, progress: Progress) -> _Searched:
    step = f"read all tensors of {pair.variant.name}"
    progress.begin(step)
    graph = graph_of(pair.format, pair.variant.path)
    baseline, shares = _compared(pair, graph, cuts, wanted.sample)
    progress.end(step, "done")
    progress.begin("search the smallest sub-graph")
    found = smallest_subgraph(
        graph, shares, wanted.threshold, lambda subgraph: _share(cuts.variant, baseline, subgraph)
    )
    if found is None:
        raise UsageError(
            f"no sub-graph of '{pair.variant.name}' differs by {wanted.threshold:.3g} of the largest value of a "
            f"tensor; give a smaller --threshold"
        )
    progress.end("search the smallest sub-graph", "done")
    return _Searched(graph, baseline, found)


def _reduction(pair: _Pair, wanted: _Wanted, search: _Searched, evidence: Evidence, target: Path) -> Reduction:
    subgraph = search.found.subgraph
    return Reduction(
        setting=pair.trial.setting,
        runtime=pair.trial.runtime,
        baseline=_named(pair),
        folder=target,
        sample=wanted.sample,
        output_share=wanted.output_share,
        threshold=wanted.threshold,
        share=search.found.share,
        difference=apart(evidence.expected, evidence.found).largest,
        ops=tuple(search.graph.ops[place].op for place in subgraph.ops),
        all_ops=len(search.graph.ops),
        inputs={name: tuple(search.baseline[name].shape) for name in subgraph.inputs},
        output=subgraph.output,
        bytes=sum(file.stat().st_size for file in pair.format.files(evidence.subgraph)),
        tried=search.found.tried,
    )


def _pair(study: Study, setting: str, runtime: str, registries: Registries) -> _Pair:
    measured = {(one.setting, one.runtime): one for one in study.trials if one.failure is None}
    trial = measured.get((setting, runtime))
    if trial is None or trial.variant is None:
        known = [name for name, where in measured if where == runtime]
        raise UsageError(
            f"the study has no setting '{setting}' that was measured in '{runtime}'; {nearest(setting, known)}"
        )
    if trial.imported:
        raise UsageError(
            f"the outputs of '{setting}' in '{runtime}' were imported, and quantlab cannot run sub-graphs there; name "
            f"a runtime of quantlab with --runtime"
        )
    other = (trial.variant.float32, PYTHON) if runtime == PYTHON else (setting, PYTHON)
    baseline = measured.get(other)
    if (setting, runtime) == other:
        raise UsageError(
            f"'{setting}' in Python is the baseline itself; name a quantized setting, or another --runtime"
        )
    if baseline is None or baseline.variant is None:
        raise UsageError(f"the study has no '{other[0]}' in Python to compare with; analyze it, too")
    for variant in (trial.variant, baseline.variant):
        state = intact_variant(variant, registries)
        if state in {"missing", "damaged"}:
            raise StudyError(f"the artifact of {variant.name} is {state}; run the same 'quantlab analyze' again")
    return _Pair(study, trial, trial.variant, baseline, baseline.variant, registries.formats[trial.variant.format])


def _named(pair: _Pair) -> str:
    """The baseline in words."""
    same = pair.base.name == pair.variant.name
    return "the same file in Python" if same else f"{pair.base.name} in Python"


def _worst_sample(pair: _Pair) -> tuple[int, float]:
    """Index of the scored sample whose outputs differ most, and the share; of several outputs, the scored one.

    A sample with NaN or infinity on one side is worse than any other.
    """
    name = pair.study.scored_output
    one, other = mapped(pair.baseline.outputs[name]), mapped(pair.trial.outputs[name])
    found = [apart(np.asarray(one[i]), np.asarray(other[i])) for i in range(len(one))]
    place = largest_place(found)
    return place, math.inf if math.isinf(found[place].largest) else found[place].share


def _compared(pair: _Pair, graph: CutGraph, cuts: _Cuts, sample: int) -> tuple[dict[str, Array], dict[str, float]]:
    """The baseline's value of each tensor that both have, and how far the variant is from it when it runs whole."""
    base_graph = graph_of(pair.format, pair.base.path)
    written = [name for op in graph.ops for name in op.writes if name in graph.tensors & base_graph.tensors]
    names = [name for name in dict.fromkeys(written) if name not in graph.inputs]
    inputs = _inputs(pair.study, pair.variant, graph, sample)
    base_inputs = _inputs(pair.study, pair.base, base_graph, sample)
    values, base = cuts.variant.values(inputs, names), cuts.baseline.values(base_inputs, names)
    alike = [name for name in names if values[name].shape == base[name].shape]
    shares = {name: apart(base[name], values[name]).share for name in alike}
    return {**inputs, **{name: base[name] for name in alike}}, shares


def _inputs(study: Study, variant: Variant, graph: CutGraph, sample: int) -> dict[str, Array]:
    """Values of each input of a file for one sample; of codes, the values that the codes stand for.

    Integers have the file's own data type, which may be narrower than the model's.
    """
    ports = {port.position: port for port in variant.inputs}
    values = {}
    for place, name in enumerate(graph.inputs):
        port = ports[place]
        array = np.array(mapped(study.samples.input_file(port.name))[sample : sample + 1])
        if port.codes is not None and array.dtype.kind == "f":
            array = decode(encode(array, port.codes, port.dtype), port.codes)
        elif array.dtype.kind in "iub":
            array = array.astype(port.dtype)
        values[name] = array
    return values


def _share(cut: Cutting, baseline: Mapping[str, Array], subgraph: SubGraph) -> float:
    return cut.apart(baseline, subgraph.inputs, subgraph.output).share


def _evidence(pair: _Pair, search: _Searched, cuts: _Cuts) -> Evidence:
    """The sub-graph, what it was fed, and what it and the baseline answer."""
    found = search.found.subgraph
    fed = {name: search.baseline[name] for name in found.inputs}
    file = cuts.variant.write(fed, [found.output])
    (answer,) = run_file(pair.format, file, list(fed.values()), where=cuts.variant.where)
    ops = [search.graph.ops[place] for place in found.ops]
    return Evidence(
        subgraph=file,
        format=pair.format,
        backend=cuts.variant.where[0].backend,
        fed=fed,
        found=answer,
        expected=search.baseline[found.output],
        environment={**pair.trial.environment, **pair.study.versions},
        source_sha256=pair.variant.sha256,
        ops=tuple(f"{op.op}: {', '.join(op.writes)}" for op in ops),
    )

"""`reduce`: the smallest part of an artifact, and the sample, that still differ from the baseline."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.formats import Format
from quantlab.names import nearest
from quantlab.npy import mapped
from quantlab.processes import ChildPool
from quantlab.processes.preload import WORKERS_WITHOUT_TENSORFLOW
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.store import Store
from quantlab.study.inspection.feeding import encoded
from quantlab.study.integrity import intact_variant
from quantlab.study.reduction.folder import Evidence, write_folder
from quantlab.study.reduction.running import Cutting, apart, graph_of
from quantlab.study.reduction.search import Found, GraphPart, smallest_part
from quantlab.types import PYTHON, Study, Trial, Variant
from quantlab.types.reduction import CutGraph, Reduction

__all__ = ["ReduceOptions", "reduce_study"]

Array = npt.NDArray[Any]

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
    """Find the part, and write it with its input, both outputs, a script and a text for an issue.

    In Python, a variant is compared with the float32 artifact of its format; in another runtime, with itself in Python.

    Args:
        folder: A study.
        options: Which trial is reduced, and where the result is written.
        progress: Receives events.
        registries: The known formats and runtimes.

    Raises:
        UsageError: If the study has no such trial, nothing differs, or the format cannot be cut.
        StudyError: If an artifact is missing or damaged, or the folder exists.
        TrialError: If a part cannot run.
    """
    setting, runtime = options.setting, options.runtime
    progress = progress or Silent()
    target = options.out or Path(f"{setting}-{runtime}.reduced")
    if target.exists():
        raise StudyError(f"'{target}' exists already; choose another --out, or remove it")
    pair = _pair(Store(Path(folder)).read_study(), setting, runtime, registries)
    sample, share = _worst_sample(pair)
    if share == 0:
        raise UsageError(f"the outputs of '{setting}' in '{runtime}' equal those of {_named(pair)}; nothing to reduce")
    wanted = _OF_OUTPUT * share if options.threshold is None else options.threshold
    with (
        tempfile.TemporaryDirectory(prefix="quantlab-reduce-") as work,
        ChildPool(Path(work), 600.0, WORKERS_WITHOUT_TENSORFLOW) as pool,
    ):
        python = (registries.python, registries, pool)
        there = (registries.runtimes[runtime], registries, pool)
        cuts = (
            Cutting(pair.format, pair.variant.path, there, Path(work) / "variant"),
            Cutting(pair.format, pair.base.path, python, Path(work) / "baseline"),
        )
        progress.begin(f"read all tensors of {setting}")
        graph = graph_of(pair.format, pair.variant.path)
        baseline, shares = _compared(pair, graph, cuts, sample)
        progress.end(f"read all tensors of {setting}", "done")
        progress.begin("search the smallest part")
        found = smallest_part(graph, shares, wanted, lambda part: _share(cuts[0], baseline, part))
        if found is None:
            raise UsageError(
                f"no part of '{setting}' differs by {wanted:.3g} of the largest value of a tensor; give a smaller "
                f"--threshold"
            )
        progress.end("search the smallest part", "done")
        evidence = _evidence(pair, graph, cuts, baseline, found)
        reduction = Reduction(
            setting=setting,
            runtime=runtime,
            baseline=_named(pair),
            folder=target,
            sample=sample,
            output_share=share,
            threshold=wanted,
            part_share=found.share,
            part_difference=apart(evidence.expected, evidence.found).largest,
            ops=tuple(graph.ops[place].op for place in found.part.ops),
            all_ops=len(graph.ops),
            inputs={name: tuple(baseline[name].shape) for name in found.part.inputs},
            output=found.part.output,
            bytes=evidence.part.stat().st_size,
            tried=found.tried,
        )
        write_folder(target, reduction, evidence)
    return reduction


def _pair(study: Study, setting: str, runtime: str, registries: Registries) -> _Pair:
    measured = {(one.setting, one.runtime): one for one in study.trials if one.failure is None}
    trial = measured.get((setting, runtime))
    if trial is None or trial.variant is None:
        known = [name for name, where in measured if where == runtime]
        raise UsageError(
            f"the study has no setting '{setting}' that was measured in '{runtime}'; {nearest(setting, known)}"
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
    """Index of the scored sample whose outputs differ most, and the share; of several outputs, the scored one."""
    name = pair.study.scored_output
    one, other = mapped(pair.baseline.outputs[name]), mapped(pair.trial.outputs[name])
    shares = [apart(np.asarray(one[i]), np.asarray(other[i])).share for i in range(len(one))]
    place = int(np.argmax(shares))
    return place, float(shares[place])


def _compared(
    pair: _Pair, graph: CutGraph, cuts: tuple[Cutting, Cutting], sample: int
) -> tuple[dict[str, Array], dict[str, float]]:
    """The baseline's value of each tensor that both have, and how far the variant is from it when it runs whole."""
    base_graph = graph_of(pair.format, pair.base.path)
    written = [name for op in graph.ops for name in op.writes if name in graph.tensors & base_graph.tensors]
    names = [name for name in dict.fromkeys(written) if name not in graph.inputs]
    inputs = _inputs(pair.study, pair.variant, graph, sample)
    base_inputs = _inputs(pair.study, pair.base, base_graph, sample)
    values, base = cuts[0].values(inputs, names), cuts[1].values(base_inputs, names)
    alike = [name for name in names if values[name].shape == base[name].shape]
    shares = {name: apart(base[name], values[name]).share for name in alike}
    return {**inputs, **{name: base[name] for name in alike}}, shares


def _inputs(study: Study, variant: Variant, graph: CutGraph, sample: int) -> dict[str, Array]:
    """Values of each input of a file for one sample; of codes, the values that the codes stand for."""
    ports = {port.position: port for port in variant.inputs}
    values = {}
    for place, name in enumerate(graph.inputs):
        port = ports[place]
        array = np.array(mapped(study.samples.input_file(port.name))[sample : sample + 1])
        if port.codes is not None and array.dtype.kind == "f":
            codes = encoded(array, port.codes, port.dtype)
            array = ((codes.astype(np.float64) - port.codes.zero_point) * port.codes.scale).astype(np.float32)
        values[name] = array
    return values


def _share(cut: Cutting, baseline: Mapping[str, Array], part: GraphPart) -> float:
    return cut.apart(baseline, part.inputs, part.output).share


def _evidence(
    pair: _Pair, graph: CutGraph, cuts: tuple[Cutting, Cutting], baseline: Mapping[str, Array], found: Found
) -> Evidence:
    """The part, what it was fed, and what it and the baseline answer."""
    from quantlab.study.reduction.running import run_file

    part = cuts[0].write(found.part.inputs, [found.part.output])
    fed = {name: baseline[name] for name in found.part.inputs}
    (answer,) = run_file(pair.format, part, list(fed.values()), where=cuts[0].where)
    environment = {**pair.trial.environment, **pair.study.versions}
    ops = [graph.ops[place] for place in found.part.ops]
    return Evidence(
        part=part,
        format=pair.format,
        fed=fed,
        found=answer,
        expected=baseline[found.part.output],
        environment=environment,
        source_sha256=pair.variant.sha256,
        ops=tuple(f"{op.op}: {', '.join(op.writes)}" for op in ops),
    )

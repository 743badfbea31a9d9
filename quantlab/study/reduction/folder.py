"""Writes what was found: the sub-graph, its inputs, both outputs, a script that shows the difference, and a text."""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats import Format
from quantlab.formats.programs import EXPECTED, OUTPUT, Comparison, Program
from quantlab.types.reduction import Reduction

__all__ = ["Evidence", "write_folder"]

Array = npt.NDArray[Any]

ISSUE, RECORD = "issue.md", "reduction.json"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows the difference."""

    subgraph: Path
    """The sub-graph's file, or its folder."""
    format: Format
    backend: str
    """Backend of the runtime; empty for Python."""
    fed: Mapping[str, Array]
    """Tensor → its values, in the order of the sub-graph's inputs."""
    found: Array
    """What the sub-graph gives."""
    expected: Array
    """What the baseline has there."""
    environment: Mapping[str, str]
    """Versions and flags of the run."""
    source_sha256: str
    """Hash of the artifact that the sub-graph was cut from."""
    ops: tuple[str, ...]
    """Each op with the tensors that it writes."""


def write_folder(target: Path, reduction: Reduction, evidence: Evidence) -> None:
    """Write the folder completely or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    subgraph = partial / f"subgraph{evidence.subgraph.suffix}"
    copied = shutil.copytree if evidence.subgraph.is_dir() else shutil.copyfile
    copied(evidence.subgraph, subgraph)
    arrays = {**dict(zip(_inputs(evidence), evidence.fed.values(), strict=True)), OUTPUT: evidence.found}
    for name, values in {**arrays, EXPECTED: evidence.expected}.items():
        np.save(partial / name, values)
    program = _program(evidence, subgraph.name, reduction)
    texts = {**program.files, ISSUE: _issue(reduction, evidence, subgraph, program.how)}
    for name, text in {**texts, RECORD: json.dumps(_record(reduction), indent=1) + "\n"}.items():
        (partial / name).write_text(text, encoding="utf-8")
    partial.rename(target)


def _inputs(evidence: Evidence) -> tuple[str, ...]:
    return tuple(f"input-{place}.npy" for place in range(len(evidence.fed)))


def _record(reduction: Reduction) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(reduction), "folder": str(reduction.folder)}


def _program(evidence: Evidence, subgraph: str, reduction: Reduction) -> Program:
    """A program that runs the sub-graph, and compares it with both files."""
    if evidence.format.reproduce is None:
        raise ValueError(f"the format '{evidence.format.name}' is cut and has no program that runs a sub-graph")
    ran_in = (evidence.backend, reduction.runtime, evidence.environment)
    return evidence.format.reproduce(Comparison(subgraph, _inputs(evidence), *ran_in))


def _issue(reduction: Reduction, evidence: Evidence, subgraph: Path, how: str) -> str:
    """The text for an issue, in Markdown."""
    versions = "\n".join(f"- {name}: {value}" for name, value in sorted(evidence.environment.items()))
    ops = "\n".join(f"{place}. {op}" for place, op in enumerate(evidence.ops, start=1))
    hashes = "\n".join(_hashes(evidence.format.files(subgraph), subgraph.parent))
    count = f"{len(reduction.ops)} of {reduction.all_ops} ops"
    return f"""# `{reduction.output}` differs from {reduction.baseline}

A sub-graph of a {evidence.format.name} file ({count}) gives other values in `{reduction.runtime}` than
{reduction.baseline}.

{_figures(reduction, evidence)}

## Reproduce

{how} runs `{subgraph.name}` on the inputs, and compares the result with both files.

{_files(reduction, evidence)}

## Ops

{ops}

## Versions

{versions}

## Hashes (SHA-256)

{hashes}
- the file that it was cut from: {evidence.source_sha256}

Cut by `quantlab reduce` of quantlab {version("quantlab")}, which ran {reduction.tried} sub-graphs to find this one. The
inputs are the baseline's values.
"""


def _figures(reduction: Reduction, evidence: Evidence) -> str:
    return "\n".join(
        [
            f"- Largest difference: {_of_largest(reduction)}",
            f"- Elements: {evidence.expected.size}, shape {list(evidence.expected.shape)}",
            f"- The whole file differs by {_of_output(reduction)} for this sample.",
        ]
    )


def _files(reduction: Reduction, evidence: Evidence) -> str:
    inputs = [
        f"- `{file}`: `{name}` {list(values.shape)} {values.dtype.name}"
        for file, (name, values) in zip(_inputs(evidence), evidence.fed.items(), strict=True)
    ]
    outputs = [
        f"- `{OUTPUT}`: what the sub-graph gave in `{reduction.runtime}`",
        f"- `{EXPECTED}`: `{reduction.output}` in {reduction.baseline}",
    ]
    return "\n".join([*inputs, *outputs])


def _hashes(files: Sequence[Path], folder: Path) -> Iterator[str]:
    for file in files:
        yield f"- `{file.relative_to(folder)}`: {hashlib.sha256(file.read_bytes()).hexdigest()}"


def _of_largest(reduction: Reduction) -> str:
    if math.isinf(reduction.difference):
        return "values that are NaN or infinite on one side alone"
    return f"{reduction.difference:.6g} ({100 * reduction.share:.3g} % of the largest expected value)"


def _of_output(reduction: Reduction) -> str:
    if math.isinf(reduction.output_share):
        return "values that are NaN or infinite on one side alone"
    return f"{100 * reduction.output_share:.3g} % of its largest output"

"""Writes what was found: the sub-graph, its inputs, both outputs, a script that shows the difference, and a text."""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats import Format
from quantlab.types import PYTHON
from quantlab.types.reduction import Reduction

__all__ = ["Evidence", "write_folder"]

Array = npt.NDArray[Any]

ISSUE, SCRIPT, RECORD = "issue.md", "compare.py", "reduction.json"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows the difference."""

    subgraph: Path
    """The sub-graph's file."""
    format: Format
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
    shutil.copyfile(evidence.subgraph, subgraph)
    for place, values in enumerate(evidence.fed.values()):
        np.save(partial / f"input-{place}.npy", values)
    np.save(partial / "output.npy", evidence.found)
    np.save(partial / "expected.npy", evidence.expected)
    (partial / SCRIPT).write_text(_script(evidence, subgraph.name, reduction), encoding="utf-8")
    (partial / ISSUE).write_text(_issue(reduction, evidence, subgraph), encoding="utf-8")
    (partial / RECORD).write_text(json.dumps(_record(reduction), indent=1) + "\n", encoding="utf-8")
    partial.rename(target)


def _record(reduction: Reduction) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(reduction), "folder": str(reduction.folder)}


def _script(evidence: Evidence, subgraph: str, reduction: Reduction) -> str:
    """A program that runs the sub-graph in Python, and compares it with both files."""
    if evidence.format.reproduce is None:
        raise ValueError(f"the format '{evidence.format.name}' is cut and has no program that runs a sub-graph")
    names = [f"input-{place}.npy" for place in range(len(evidence.fed))]
    where = "# this program runs the sub-graph in Python, which gives expected.npy"
    elsewhere = [] if reduction.runtime == PYTHON else [f"# output.npy is of '{reduction.runtime}';", where]
    return "\n".join(
        [
            '"""Runs the sub-graph, and prints how far its output is from expected.npy and output.npy."""',
            "",
            "import numpy as np",
            "",
            *elsewhere,
            f"inputs = [np.load(name) for name in {names!r}]",
            evidence.format.reproduce(subgraph),
            'for name in ("expected.npy", "output.npy"):',
            "    difference = np.abs(outputs[0].astype(np.float64) - np.load(name).astype(np.float64)).max()",
            '    print(f"largest difference from {name}: {difference:.6g}")',
            "",
        ]
    )


def _issue(reduction: Reduction, evidence: Evidence, subgraph: Path) -> str:
    """The text for an issue, in Markdown."""
    versions = "\n".join(f"- {name}: {value}" for name, value in sorted(evidence.environment.items()))
    ops = "\n".join(f"{place}. {op}" for place, op in enumerate(evidence.ops, start=1))
    sha256 = hashlib.sha256(subgraph.read_bytes()).hexdigest()
    count = f"{len(reduction.ops)} of {reduction.all_ops} ops"
    return f"""# `{reduction.output}` differs from {reduction.baseline}

A sub-graph of a {evidence.format.name} file ({count}) gives other values in `{reduction.runtime}` than
{reduction.baseline}.

{_figures(reduction, evidence)}

## Reproduce

`python {SCRIPT}` runs `{subgraph.name}` on the inputs, and compares the result with both files.

{_files(reduction, evidence)}

## Ops

{ops}

## Versions

{versions}

## Hashes (SHA-256)

- `{subgraph.name}`: {sha256}
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
        f"- `input-{place}.npy`: `{name}` {list(values.shape)} {values.dtype.name}"
        for place, (name, values) in enumerate(evidence.fed.items())
    ]
    outputs = [
        f"- `output.npy`: what the sub-graph gave in `{reduction.runtime}`",
        f"- `expected.npy`: `{reduction.output}` in {reduction.baseline}",
    ]
    return "\n".join([*inputs, *outputs])


def _of_largest(reduction: Reduction) -> str:
    if math.isinf(reduction.difference):
        return "values that are NaN or infinite on one side alone"
    return f"{reduction.difference:.6g} ({100 * reduction.share:.3g} % of the largest expected value)"


def _of_output(reduction: Reduction) -> str:
    if math.isinf(reduction.output_share):
        return "values that are NaN or infinite on one side alone"
    return f"{100 * reduction.output_share:.3g} % of its largest output"

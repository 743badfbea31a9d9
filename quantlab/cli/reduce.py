"""`quantlab reduce`: the smallest sub-graph of an artifact that still differs from its baseline."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import print_result
from quantlab.names import counted

if TYPE_CHECKING:
    from quantlab.types.reduction import Reduction

__all__ = ["reduce"]


def reduce(
    study: Annotated[Path, typer.Argument(help="Folder of the study.")],
    *,
    setting: Annotated[str, typer.Option(help="Setting or given variant to reduce.")],
    runtime: Annotated[
        str,
        typer.Option(
            help="Runtime. In python, the variant is compared with the float32 artifact of its format; in another "
            "runtime, with itself in python."
        ),
    ] = "python",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Share of a tensor's largest value from which it counts as different. "
            "[default: half of the share by which the outputs differ]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write. [default: SETTING-RUNTIME.reduced in the current folder]"),
    ] = None,
    json: AsJson = False,
) -> int:
    """Cut out the smallest sub-graph that still differs.

    The command writes a folder with the sub-graph, its inputs, its output and the expected one, a program that compares
    them without quantlab, and a text for an upstream issue with versions and hashes. TFLite and ONNX files and tfjs
    models can be cut.
    """
    from quantlab.cli.progress import shown
    from quantlab.study.reduction import ReduceOptions, reduce_study
    from quantlab_reports.model import plain

    with shown() as progress:
        found = reduce_study(study, ReduceOptions(setting, runtime, threshold, out), progress=progress)
    if json:
        print_json(plain({**plain(found), "folder": str(found.folder)}))
    else:
        print_result(_text(found))
    return OK


def _text(found: "Reduction") -> str:
    from quantlab_reports.figures import number

    ops = ", ".join(found.ops[:8]) + (", …" if len(found.ops) > 8 else "")
    counts = f"{len(found.ops)} of {found.all_ops} ops still differ from {found.baseline}"
    share, threshold = number(100 * found.share), number(100 * found.threshold)
    apart = f"differs by {number(found.difference)}, {share} % of its largest value (threshold {threshold} %)"
    if math.isinf(found.difference):
        apart = "is NaN or infinite where the baseline is not, or the reverse"
    whole = f"the outputs of the whole file differ by {number(100 * found.output_share)} % there"
    if math.isinf(found.output_share):
        whole = "outputs of the whole file are NaN or infinite on one side alone"
    lines = (
        f"{found.setting} in {found.runtime}: {counts}: {ops}",
        f"'{found.output}' {apart}, on sample {found.sample}",
        f"{whole}; {counted(found.tried, 'sub-graph was', 'sub-graphs were')} run",
        f"wrote {found.folder}: sub-graph, inputs, both outputs, a program that compares them, and issue.md",
    )
    return "\n".join(lines)

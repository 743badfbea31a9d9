"""Pipelines of apps as text and as JSON: a sentence, the pipelines, and what decoders make of each kind of file."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from quantlab.names import counted, joined, shortened
from quantlab.types import ComparedPipeline, DecodedKind, PhotoFailure, PipelineComparison, SwappedStep
from quantlab_reports.diagnosed import app_table
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.model import Column, Table, plain, table_of
from quantlab_reports.views.cells import count

__all__ = ["kind_table", "pipeline_table", "pipelines_document", "pipelines_text"]

_NAMED = 3
"""Files that text names at most for each pipeline; programs get all."""

_READ = (
    "mean and largest: differences from the declared tensors in steps of 1/255; step: the one whose replacement by the "
    "declared one removes most of the mean difference, and what is then left"
)

_READ_KINDS = (
    "mean (and largest) difference of decoded pixels 0–255 from those of the declared decoder, before resizing; "
    "decoded: files that the declared decoder refuses; a file of several kinds is in the row of each"
)


def pipelines_text(comparison: PipelineComparison, render: Callable[[Table], str]) -> str:
    """Return the sentence, then the pipelines, then the decoders."""
    app = [render(app_table(comparison.app, "the app reads photos as"))] if comparison.app else []
    tables = [render(pipeline_table(comparison)), render(kind_table(comparison))]
    return "\n\n".join([comparison.headline, *app, *tables, *_lost(comparison)])


def pipelines_document(comparison: PipelineComparison) -> dict[str, Any]:
    """Return the comparison as plain JSON values.

    - `headline`: what was found, in one sentence or two.
    - `model`, `data`, `output`: paths as given, and the name of the output that was compared.
    - `declared`: the declared preprocessing in words.
    - `n`, `available`, `drawn`: photos that the declared pipeline turned into samples, photos in the folder, and how
      they were chosen.
    - `score`: accuracy of the float model with the declared preprocessing, in percent; null without labels.
    - `pipelines`: a list with `name`, `place`, `decoder`, `resizer`, `n`, `mean_steps` and `max_steps` (differences in
      steps of 1/255), `changed`, `became_wrong`, `became_right`, `loss_points`, `interval`, `output_rms`, `steps` (for
      each step, the mean difference that is `left` if this step is the declared one), `cause`, `failures` (`file`,
      `reason`), and `reason` if it was not run.
    - `kinds`: a list of what decoders make of kinds of files: `kind`, `decoder` (empty for the declared one), `files`,
      `failed`, `other_size`, `only_here` (the declared decoder refuses them), `mean` and `largest` (differences of
      pixel values).
    - `refused`: photos that the declared pipeline does not turn into a sample, with `file` and `reason`.
    - `environments`: place → versions that pixels depend on.
    - `app`: with `--app`, a list of what reproduces the outputs of an app, the nearest first, with the fields of `app`
      of a diagnosis; `family` is `pipeline`, or empty for the declared preprocessing; all that are `named` come nearest
      beyond chance, and the photos do not tell them apart.
    """
    document: dict[str, Any] = plain(comparison)
    return document


def pipeline_table(comparison: PipelineComparison) -> Table:
    """Return the pipelines in the order in which they were named."""
    columns = [
        Column("pipeline", lambda row: row.name, numeric=False),
        Column("mean of 255", lambda row: number(row.mean_steps, 2)),
        Column("largest", lambda row: number(row.max_steps, 3)),
        Column("class changed", count("changed")),
        Column("became wrong", count("became_wrong")),
        Column("became right", count("became_right")),
        Column("loss pt [95 %]", _loss),
        Column("RMS of outputs", lambda row: number(row.output_rms, 2)),
        Column("photos", lambda row: EMPTY if row.reason else f"{row.n:,}"),
        Column("step", _step, numeric=False),
        Column("not run", lambda row: row.reason or "", numeric=False),
    ]
    where = (
        f"{comparison.n:,} of {comparison.available:,} photos of '{comparison.data}' ({comparison.drawn}), output "
        f"'{comparison.output}' of the float model in python"
    )
    if comparison.score is not None:
        where += f", {fixed(comparison.score, 1)} % right with the declared preprocessing"
    below = [where, f"declared: {comparison.declared}", _READ]
    keys = tuple(field.name for field in fields(ComparedPipeline))
    rows = comparison.pipelines
    return table_of(columns, rows, keys=keys, records=[plain(row) for row in rows], below=below)


def kind_table(comparison: PipelineComparison) -> Table:
    """Return what the decoders make of the kinds of files: a row for each kind, and a column for each decoder."""
    decoders = list(dict.fromkeys(row.decoder for row in comparison.kinds if row.decoder))
    by_kind: dict[str, dict[str, DecodedKind]] = {}
    for row in comparison.kinds:
        by_kind.setdefault(row.kind, {})[row.decoder] = row
    columns = [
        Column("kind of file", lambda row: row[0], numeric=False),
        Column("files", lambda row: f"{row[1][''].files:,}"),
        *(Column(name, partial(_decoded, name), numeric=False) for name in decoders),
    ]
    keys = tuple(field.name for field in fields(DecodedKind))
    records = [plain(row) for row in comparison.kinds]
    return table_of(columns, list(by_kind.items()), keys=keys, records=records, below=[_READ_KINDS])


def _decoded(decoder: str, row: tuple[str, dict[str, DecodedKind]]) -> str:
    """What a decoder makes of the files of one kind."""
    kind = row[1].get(decoder)
    if kind is None:
        return EMPTY
    parts = [] if kind.mean is None else [f"{number(kind.mean, 2)} ({number(kind.largest, 3)})"]
    for files, word in ((kind.other_size, "other size"), (kind.only_here, "decoded"), (kind.failed, "refused")):
        if files:
            parts.append(word if files == kind.files else f"{files:,} {word}")
    return ", ".join(parts)


def _loss(row: ComparedPipeline) -> str:
    if row.loss_points is None or row.interval is None:
        return EMPTY
    ends = (row.loss_points, row.interval.lower, row.interval.upper)
    return "{} [{}, {}]".format(*(fixed(value, 2) for value in ends))


def _step(row: ComparedPipeline) -> str:
    """The step that differs most, and what is left without it."""
    swapped: SwappedStep | None = next((one for one in row.steps if one.step == row.cause), None)
    return "" if swapped is None else f"{swapped.step} (left: {number(swapped.left, 2)})"


def _lost(comparison: PipelineComparison) -> list[str]:
    """Sentences about photos without a tensor."""
    alike: dict[tuple[PhotoFailure, ...], list[str]] = {}
    for row in comparison.pipelines:
        if row.failures:
            alike.setdefault(row.failures, []).append(f"'{row.name}'")
    lines = [_of(["the declared preprocessing"], comparison.refused)] if comparison.refused else []
    lines += [_of(names, failures) for failures, names in alike.items()]
    return ["\n".join(lines)] if lines else []


def _of(names: Sequence[str], failures: tuple[PhotoFailure, ...]) -> str:
    files = [f"'{one.file}' ({one.reason})" for one in failures]
    some = shortened(files, most=_NAMED, separator=";")
    gives = "gives" if len(names) == 1 else "give"
    return f"! {joined(names)} {gives} no tensor for {counted(len(files), 'photo')}: {some}"

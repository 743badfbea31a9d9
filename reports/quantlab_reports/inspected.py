"""The contract sheet of a model as tables: its inputs and outputs, the calls that were tried, and code to copy."""

import shlex
from collections.abc import Callable
from dataclasses import fields, replace

from quantlab.names import counted, excerpt
from quantlab.types.inspection import CallSnippet, ContractPort, ContractSheet, TriedCall
from quantlab_reports.figures import EMPTY, number
from quantlab_reports.model import NOTES, Column, Table, plain, table_of

__all__ = ["call_table", "port_table", "sheet_document", "sheet_text"]


_SAME = (
    "same answer: within 0.00001 of the largest value of the right call of the same artifact; beside the model, within "
    "0.001"
)
_BY_CHANCE = "random values: a wrong layout or order may give the same answer by chance; give --data"
_MOST_CHARACTERS = 120
"""Of a message in a table; JSON has all that was kept of it."""


def sheet_text(sheet: ContractSheet, render: Callable[[Table], str]) -> str:
    """Return the whole sheet: two tables, and then the code."""
    tables = [port_table(sheet), *([call_table(sheet)] if sheet.calls else [])]
    parts = [render(table if table.cells else replace(table, headed=False)) for table in tables]
    parts += [render(_snippet_table(_title(one, sheet), one.text)) for one in sheet.snippets]
    return "\n\n".join(parts)


def _title(snippet: CallSnippet, sheet: ContractSheet) -> str:
    """What the code calls, and how to get the file if quantlab converted it and kept nothing."""
    title = f"{snippet.artifact} in {snippet.language}"
    files = {row.name: row.path for row in sheet.artifacts}
    model = files.get("model") or files.get("signature")
    if files.get(snippet.artifact) or model is None:
        return title
    command = ["quantlab", "convert", model, "--settings", snippet.artifact, "--out", "converted"]
    return f"{title}, with the file in converted/{snippet.artifact} that this writes: {shlex.join(command)}"


def sheet_document(sheet: ContractSheet) -> object:
    """Return the sheet as plain JSON values."""
    return plain(sheet)


def port_table(sheet: ContractSheet) -> Table:
    """Return a row for each input and output of each artifact."""
    return table_of(
        [
            Column("artifact", lambda row: row.artifact, numeric=False),
            Column("port", lambda row: f"{row.direction} {row.position}", numeric=False),
            Column("name", lambda row: row.name, numeric=False),
            Column("tensor", lambda row: EMPTY if row.tensor == row.name else row.tensor, numeric=False),
            Column("shape", _shape, numeric=False),
            Column("dtype", lambda row: row.dtype, numeric=False),
            Column("range seen", _range, numeric=False),
            Column("codes", lambda row: row.formula or EMPTY, numeric=False),
        ],
        sheet.ports,
        keys=[field.name for field in fields(ContractPort)],
        records=[plain(row) for row in sheet.ports],
        above=(f"{sheet.subject}, fed with {sheet.samples}",),
        below=tuple(_remarks(sheet)),
    )


def _shape(row: ContractPort) -> str:
    """The shape; an open batch is n, another open size is ?, and what the artifact does not state is left out."""
    if not row.shape:
        return EMPTY
    sizes = [("n" if place == 0 else "?") if size is None else str(size) for place, size in enumerate(row.shape)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _range(row: ContractPort) -> str:
    if row.lowest is None or row.highest is None:
        return EMPTY
    return f"{number(row.lowest)} to {number(row.highest)} (n = {row.samples:,})"


def _remarks(sheet: ContractSheet) -> list[str]:
    failed = [f"! {row.name}: {row.failure}" for row in sheet.artifacts if row.failure is not None]
    return failed + [f"! {row.name}: {note}" for row in sheet.artifacts for note in row.notes]


def call_table(sheet: ContractSheet) -> Table:
    """Return a row for each call, those that went wrong without an error first among the lines above."""
    return table_of(
        [
            Column("artifact", lambda row: row.artifact, numeric=False),
            Column("runtime", lambda row: row.runtime, numeric=False),
            Column("call", lambda row: row.call, numeric=False),
            Column("outcome", lambda row: row.outcome, numeric=False),
            Column("max difference", lambda row: number(row.largest_difference)),
            Column("same top-1", _top1),
            Column(NOTES, lambda row: excerpt(row.detail, most=_MOST_CHARACTERS) or EMPTY, numeric=False),
        ],
        sheet.calls,
        keys=[field.name for field in fields(TriedCall)],
        records=[plain(row) for row in sheet.calls],
        above=_silent(sheet),
        below=(_SAME, *([] if sheet.own_samples else [_BY_CHANCE])),
    )


def _top1(row: TriedCall) -> str:
    return EMPTY if row.same_top1 is None else f"{row.same_top1} of {row.samples}"


def _silent(sheet: ContractSheet) -> tuple[str, ...]:
    """A line for each artifact and runtime: how many calls gave another answer without an error, and which."""
    places = dict.fromkeys((row.artifact, row.runtime) for row in sheet.calls)
    return tuple(_silent_line(sheet, artifact, runtime) for artifact, runtime in places)


def _silent_line(sheet: ContractSheet, artifact: str, runtime: str) -> str:
    counts = sheet.answered(artifact, runtime)
    rows = [row for row in sheet.silent if (row.artifact, row.runtime) == (artifact, runtime)]
    which = f" ({'; '.join(row.call for row in rows)})" if rows else ""
    count = counts.same + counts.another + counts.refused
    if not count:
        return f"{artifact} in {runtime}: nothing could be tried, see the notes of its rows"
    told = f"{counts.same} gave the same answer, {counts.another} another one without an error{which}"
    return f"{artifact} in {runtime}: of {counted(count, 'attempt')}, {told}, and {counts.refused} raised an error"


def _snippet_table(title: str, text: str) -> Table:
    return Table((), (), (), (), (), above=(title,), code=tuple(text.splitlines()))

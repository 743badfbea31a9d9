"""`quantlab verify`: checks that the files of a study are what was written."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.addresses import brought
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, print_json, rendering_of
from quantlab.cli.output import print_result
from quantlab.names import shown_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantlab.study.verification import Checked

__all__ = ["verify"]


def verify(
    study: Annotated[Path, typer.Argument(help="Folder or address (s3://…) of the study.")],
    *,
    json: AsJson = False,
) -> int:
    """Check the files of a study against their hashes.

    The command runs and changes nothing. The exit status is 2 if a file is damaged or missing.
    """
    from quantlab.study import verify as verify_study

    checked = verify_study(brought(study))
    if json:
        print_json([{"kind": row.kind, "name": row.name, "path": str(row.path), "state": row.state} for row in checked])
    else:
        print_result(_text(checked, study))
    return COULD_NOT_RUN if _broken(checked) else OK


def _broken(checked: "Sequence[Checked]") -> "list[Checked]":
    return [row for row in checked if row.state in {"damaged", "missing"}]


def _whole(checked: "Sequence[Checked]") -> int:
    return sum(row.state == "intact" for row in checked)


def _text(checked: "Sequence[Checked]", study: Path) -> str:
    from quantlab_reports.model import Column, table_of

    columns = [
        Column("kind", lambda row: row.kind, numeric=False),
        Column("name", lambda row: row.name, numeric=False),
        Column("state", lambda row: row.state, numeric=False),
    ]
    broken = _broken(checked)
    end = (
        f"{len(broken)} of {len(checked)} are damaged or missing; run the same 'quantlab analyze' again with "
        f"--out {shlex.quote(shown_place(study))}, which makes again what it needs; what is damaged then, too, may be "
        f"deleted"
        if broken
        else f"{_whole(checked)} of {len(checked)} are as they were written"
    )
    if any(row.path.name == "looks.json" for row in broken):
        end += (
            ". 'looks.json' is not made again, because it is unknown which samples were judged before: restore it, or "
            "analyze new samples in another folder"
        )
    unknown = sum(row.state == "no hash" for row in checked)
    if unknown:
        end += f". {unknown} cannot be checked, because an older quantlab wrote them without a hash"
    return rendering_of("terminal")(table_of(columns, checked, below=(end,)))

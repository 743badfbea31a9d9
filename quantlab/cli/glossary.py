"""`quantlab glossary`: what the terms in tables mean."""

from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json, rendering_of, terminal_width
from quantlab.errors import UsageError

__all__ = ["glossary"]


def glossary(
    term: Annotated[
        str | None, typer.Argument(help="Term or column heading to explain. [default: all terms]", show_default=False)
    ] = None,
    json: AsJson = False,
) -> int:
    """Explain the terms that tables and reports use."""
    from quantlab_reports.model import Column, table_of
    from quantlab_reports.renderings.fitting import wrapped

    entries = _entries(term)
    if json:
        print_json(entries)
        return OK
    if term is not None:
        width = terminal_width()
        print("\n".join(line for name, text in entries.items() for line in wrapped(f"{name}: {text}", width)))
        return OK
    columns = (
        Column("term", lambda entry: entry[0], numeric=False),
        Column("explanation", lambda entry: entry[1], numeric=False),
    )
    print(rendering_of("terminal")(table_of(columns, list(entries.items()))))
    return OK


def _entries(term: str | None) -> dict[str, str]:
    """The terms to explain.

    Raises:
        UsageError: If there is no such term.
    """
    from quantlab.glossary import GLOSSARY, SYNONYMS, explained
    from quantlab.names import nearest

    if term is None:
        return dict(GLOSSARY)
    entry = explained(term)
    if entry is None:
        hint = nearest(term, [*GLOSSARY, *SYNONYMS])
        hint = hint if hint.endswith("?") else "'quantlab glossary' lists all terms"
        raise UsageError(f"the glossary has no term '{term}'; {hint}")
    return dict([entry])

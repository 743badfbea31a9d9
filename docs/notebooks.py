"""Executes the notebook of the guides and makes a page of it, with what its cells show.

Cells run in this process, as a kernel would run them: statement by statement, in one namespace, and the last line of a
cell is displayed if it is an expression. No Jupyter is needed: nbclient and ipykernel bring some thirty packages and a
process of their own, and add nothing to what is checked, which is that every cell runs and that objects of quantlab
have a form as HTML. A cell is plain Python; magics are refused.
"""

import ast
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["NOTEBOOK", "Cell", "Shown", "cells_of", "executed", "notebook_page"]

NOTEBOOK = Path(__file__).parent / "guides" / "notebook.ipynb"

_NOTICE = "<!-- Made by docs/shown_output.py from notebook.ipynb. Change the notebook, then run: make tutorial -->"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a notebook."""

    source: str
    code: bool
    """Otherwise it is Markdown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell after it was executed."""

    cell: Cell
    html: str = ""
    """What `_repr_html_` of the last expression gave; empty if there is none."""
    text: str = ""
    """The `repr` of the last expression if it has no form as HTML; empty for None and without an expression."""


def cells_of(notebook: Path) -> list[Cell]:
    """The cells of a notebook of format 4.

    Raises:
        ValueError: If a cell has outputs or a number of execution: the file in the repository has none.
    """
    document = json.loads(notebook.read_text(encoding="utf-8"))
    cells = []
    for place, cell in enumerate(document["cells"]):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            raise ValueError(f"cell {place} of '{notebook.name}' has outputs; clear them before it is committed")
        cells.append(Cell("".join(cell["source"]), cell["cell_type"] == "code"))
    return cells


def executed(cells: list[Cell], folder: Path) -> Iterator[Shown]:
    """Run the cells in a folder, in order; whatever a cell raises is raised."""
    names: dict[str, object] = {"__name__": "__main__"}
    for place, cell in enumerate(cells):
        if not cell.code:
            yield Shown(cell)
            continue
        *statements, last = ast.parse(cell.source, f"<cell {place}>").body
        shown = isinstance(last, ast.Expr)
        first = statements if shown else [*statements, last]
        with contextlib.chdir(folder):
            exec(compile(ast.Module(first, []), f"<cell {place}>", "exec"), names)  # noqa: S102 (our own notebook)
            if not isinstance(last, ast.Expr):
                yield Shown(cell)
                continue
            value = eval(compile(ast.Expression(last.value), f"<cell {place}>", "eval"), names)  # noqa: S307 (as above)
            as_html = getattr(value, "_repr_html_", None)
            html = "" if as_html is None else str(as_html())
        yield Shown(cell, html, "" if html or value is None else repr(value))


def notebook_page(shown: list[Shown]) -> str:
    """A Markdown page of the executed cells: code as blocks, tables as tables."""
    parts = [_NOTICE]
    for one in shown:
        parts.append(f"```python\n{one.cell.source}\n```" if one.cell.code else one.cell.source)
        if one.html:
            parts.append(_in_markdown(one.html))
        elif one.text:
            parts.append(f"```text\n{one.text}\n```")
    return "\n\n".join(parts) + "\n"


@dataclass(slots=True)
class _Part:
    """A paragraph, a table or preformatted text."""

    tag: str
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    headed: bool = False


class _Parts(HTMLParser):
    """The parts of the HTML that objects show in notebooks, in order; styles are left out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[_Part] = []
        self._open = ""
        """The innermost tag that holds text."""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (the parser's)
        if tag in {"p", "br", "pre", "table"}:
            self.parts.append(_Part("p" if tag == "br" else tag))
        elif tag == "thead":
            self.parts[-1].headed = True
        elif tag == "tr":
            self.parts[-1].rows.append([])
        elif tag in {"td", "th"}:
            self.parts[-1].rows[-1].append("")
        if tag in {"p", "pre", "td", "th", "style"}:
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in {"td", "th"}:
            self.parts[-1].rows[-1][-1] += data
        elif self._open in {"p", "pre"}:
            self.parts[-1].text += data


def _in_markdown(html: str) -> str:
    """Paragraphs as items of lists, tables, and preformatted text as blocks."""
    blocks: list[str] = []
    for part in _Parts(html).parts:
        if part.tag == "table":
            rows = [[text.strip().replace("|", "\\|") for text in row] for row in part.rows]
            head = rows.pop(0) if part.headed else [""] * len(rows[0])
            blocks.append("\n".join(["", _row(head), _row(["---"] * len(head)), *map(_row, rows), ""]))
        elif part.tag == "pre":
            blocks.append(f"\n```text\n{part.text}\n```\n")
        elif part.text.strip():
            blocks.append(f"- {part.text.strip()}")
    return "\n".join(blocks).strip("\n")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

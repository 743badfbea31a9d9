"""The notebook of the guides: every cell runs, its objects are shown as HTML, and its page has what they show."""

import ast
import json
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
if str(DOCS) not in sys.path:
    sys.path.append(str(DOCS))

from commands import stable  # noqa: E402 (it lies beside the pages)
from notebooks import NOTEBOOK, Cell, Shown, cells_of, executed, notebook_page  # noqa: E402 (as above)


def comparable(page: str) -> list[str]:
    """The lines of a page without what changes from machine to machine."""
    return [line for line in stable(page).splitlines() if not line.startswith("- Versions: ")]


@pytest.mark.starts_children
def test_every_cell_runs_and_shows_what_the_page_has(tmp_path: Path) -> None:
    shown = list(executed(cells_of(NOTEBOOK), tmp_path))
    displayed = [one for one in shown if one.cell.code and isinstance(ast.parse(one.cell.source).body[-1], ast.Expr)][
        1:
    ]  # the first cell ends with a call that returns nothing
    assert [one.cell.source.splitlines()[-1] for one in displayed if not one.html] == [
        'quantlab.report(study, out="report.html", budget=budget).name'
    ]
    assert len(displayed) == 7
    assert all("<table" in one.html for one in displayed if one.html)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    page = NOTEBOOK.with_suffix(".md").read_text(encoding="utf-8")
    assert comparable(page) == comparable(notebook_page(shown)), "run 'make tutorial'"


class Table:
    def _repr_html_(self) -> str:
        return (
            "<style>p { margin: 0 }</style><div><p>first<br>a &lt;b&gt;</p><table><thead><tr><th>x|y</th></tr></thead>"
            "<tbody><tr><td>1</td></tr></tbody></table><table><tr><th>2</th></tr></table><pre>do it</pre></div>"
        )


def test_a_page_has_code_words_and_tables() -> None:
    shown = [
        Shown(Cell("# Title", code=False)),
        Shown(Cell("a", code=True), Table()._repr_html_()),
        Shown(Cell("b", code=True), text="'b'"),
    ]
    assert notebook_page(shown).partition("-->\n\n")[2] == (
        "# Title\n\n```python\na\n```\n\n- first\n- a <b>\n\n| x\\|y |\n| --- |\n| 1 |\n\n\n|  |\n| --- |\n| 2 |\n\n\n"
        "```text\ndo it\n```\n\n```python\nb\n```\n\n```text\n'b'\n```\n"
    )


def test_cells_share_their_names_and_run_in_the_folder(tmp_path: Path) -> None:
    here = Path.cwd()
    cells = [
        Cell("words", code=False),
        Cell("from pathlib import Path\nvalue = 1", code=True),
        Cell("value += 1\n(Path.cwd().name, value)", code=True),
        Cell("None", code=True),
    ]
    assert [(one.html, one.text) for one in executed(cells, tmp_path)] == [
        ("", ""),
        ("", ""),
        ("", repr((tmp_path.name, 2))),
        ("", ""),
    ]
    assert Path.cwd() == here


def test_what_a_cell_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(executed([Cell("1 / 0", code=True)], tmp_path))


@pytest.mark.parametrize(
    "executed_cell",
    [
        pytest.param({"outputs": [{"output_type": "stream"}]}, id="outputs"),
        pytest.param({"execution_count": 3, "outputs": []}, id="a number of execution"),
    ],
)
def test_a_notebook_with_outputs_is_refused(executed_cell: dict[str, object], tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": ["1"], **executed_cell}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ValueError, match=r"^cell 0 of 'a.ipynb' has outputs; clear them before it is committed$"):
        cells_of(tmp_path / "a.ipynb")

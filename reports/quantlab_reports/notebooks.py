"""Results as HTML in a notebook: the tables of the command line, with every name from a study escaped."""

from functools import singledispatch
from html import escape

from quantlab.types import Recommendation, Study, Verdict
from quantlab_reports.figures import without_bar
from quantlab_reports.model import Table
from quantlab_reports.views.recommendation import recommendation_table
from quantlab_reports.views.trials import trial_table
from quantlab_reports.views.verdict import verdict_table

__all__ = ["html_of"]


@singledispatch
def html_of(value: object) -> str:
    """Return a study, a verdict, a recommendation or any table as HTML.

    Raises:
        TypeError: If it is none of these.
    """
    raise TypeError(f"{type(value).__name__} has no form as HTML; give a Study, Verdict, Recommendation or Table")


@html_of.register
def _of_study(study: Study) -> str:
    return _of_table(trial_table(study, wide=False))


@html_of.register
def _of_verdict(verdict: Verdict) -> str:
    return _of_table(verdict_table([verdict]))


@html_of.register
def _of_recommendation(chosen: Recommendation) -> str:
    return _of_table(recommendation_table(chosen))


@html_of.register
def _of_table(table: Table) -> str:
    """The lines above the table, the table, the lines below and code; the notebook decides about colours and fonts."""
    head = f"<thead><tr>{_cells(table.headings, table.numeric, 'th')}</tr></thead>" if table.headed else ""
    rows = "".join(f"<tr>{_cells(row, table.numeric, 'td')}</tr>" for row in table.cells)
    code = f"<pre>{escape(chr(10).join(table.code))}</pre>" if table.code else ""
    grid = f"<table>{head}<tbody>{rows}</tbody></table>"
    return f"<div>{_lines(table.above)}{grid}{_lines(table.below)}{code}</div>"


def _lines(lines: tuple[str, ...]) -> str:
    return f"<p>{'<br>'.join(map(escape, lines))}</p>" if lines else ""


def _cells(texts: tuple[str, ...], numeric: tuple[bool, ...], tag: str) -> str:
    """Cells of a row. Bars beside figures are left out: they are for terminals, whose characters have one width."""
    return "".join(
        f'<{tag} style="text-align:{"right" if is_figure else "left"}">'
        f"{escape(without_bar(text) if is_figure else text)}</{tag}>"
        for text, is_figure in zip(texts, numeric, strict=True)
    )

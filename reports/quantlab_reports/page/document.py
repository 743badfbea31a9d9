"""Writes the page: the first screen, the sections, and the style and script inside."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from quantlab.errors import UsageError
from quantlab.names import counted, joined
from quantlab_reports.batch import BatchRow, sizes_in_words
from quantlab_reports.charts import CHARTS, OVERVIEWS, for_page, several_for_page
from quantlab_reports.charts.pareto import has_front, notes_of_pareto
from quantlab_reports.figures import without_bar
from quantlab_reports.losses import loss_of
from quantlab_reports.model import NOTES, Table
from quantlab_reports.page.contract import Section
from quantlab_reports.page.headline import headline_of
from quantlab_reports.page.markup import safe
from quantlab_reports.page.registry import SECTIONS
from quantlab_reports.page.tables import without_columns
from quantlab_reports.page.terms import Terms
from quantlab_reports.subject import Subject

__all__ = ["overview_page", "refuse_other_file", "report_page", "write_page"]

Named = Literal["file", "folder"]
"""What an option names: the file of a page, or the folder of several."""

_MARK = '<meta name="generator" content="quantlab'
"""A page that begins with this mark is a report, which may be written over."""


def report_page(subject: Subject, sections: Mapping[str, Section] = SECTIONS) -> str:
    """The report of a study as one HTML file without any reference to another one.

    Whatever comes from the study is escaped. Without scripts everything can be read; they add hovering, sorting and
    filtering.
    """
    study = subject.study
    views = _views(subject)
    filled = [(name, section, section.content(subject)) for name, section in sections.items()]
    page: str = _template("page.html.jinja").render(
        name=subject.name,
        headline=headline_of(subject),
        facts=_facts(subject),
        version=study.versions.get("quantlab", ""),
        pareto=views,
        absent=" ".join(notes_of_pareto(subject)) or CHARTS["pareto"].absent,
        caption=_caption(subject, views),
        sections=filled,
    )
    return page


def overview_page(table: Table, rows: Sequence[BatchRow], links: Sequence[str]) -> str:
    """Many models as one HTML file: a chart of their sizes, and a table whose first column links to each report.

    Args:
        table: A row for each model.
        rows: The same rows, in the same order.
        links: The name of the file of each row's report, beside this one; empty where there is none.
    """
    from importlib.metadata import version

    drawn = for_page(OVERVIEWS["models"], rows)
    page: str = _template("overview.html.jinja").render(
        table=without_columns(table),
        notes=_notes(table),
        links=links,
        version=version("quantlab"),
        chart=None if drawn is None else safe(drawn),
        absent=OVERVIEWS["models"].absent,
        evidence=sizes_in_words(rows),
    )
    return page


def _notes(table: Table) -> list[tuple[str, str]]:
    """The first cell of each row that has a note, and the note: they are too long for a column of a page."""
    places = [place for place, heading in enumerate(table.headings) if heading == NOTES]
    return [(cells[0], cells[place]) for cells in table.cells for place in places if cells[place].strip()]


@dataclass(frozen=True, slots=True)
class View:
    """The chart of sizes and losses in some runtimes, in which it is the same."""

    names: tuple[str, ...]
    """Runtimes; an empty one stands for that in which each setting loses most."""
    chart: Markup
    first: bool
    """Whether it is shown without a choice."""


def _views(subject: Subject) -> list[View]:
    runtimes = list(dict.fromkeys(trial.runtime for trial in subject.study.trials))
    names = ["", *runtimes] if len(runtimes) > 1 else [""]
    subjects = [subject, *(subject.in_runtime(name) for name in names[1:])]
    found: dict[str, list[str]] = {}
    for name, drawn in zip(names, several_for_page(CHARTS["pareto"], subjects), strict=True):
        if drawn is not None:
            found.setdefault(drawn, []).append(name)
    return [View(tuple(shown), safe(drawn), first=not place) for place, (drawn, shown) in enumerate(found.items())]


def _caption(subject: Subject, views: Sequence[View]) -> str:
    told = ["The scale of losses is linear near 0 and logarithmic beyond."] if views else []
    if any(loss.interval for trial in subject.study.trials if (loss := loss_of(trial)) is not None):
        told.append("Lines are 95 % intervals of the table.")
    shown = [subject, *(subject.in_runtime(name) for view in views for name in view.names if name)]
    if any(map(has_front, shown)):
        told.append("The thin line is the front: no smaller setting has a lower upper bound of the loss.")
    told += notes_of_pareto(subject)
    drawn = [name for view in views for name in view.names if name]
    if len(views) == 1 and len(drawn) > 1:
        told.append(f"It is the same in {joined(drawn)}.")
    absent = [name for name in dict.fromkeys(trial.runtime for trial in subject.study.trials) if name not in drawn]
    if absent and drawn:
        told.append(f"In {joined(absent)}, no setting has a finite loss.")
    return " ".join(told)


def _facts(subject: Subject) -> Sequence[str]:
    study = subject.study
    target = "" if subject.target.name == "any" else f"for the target {subject.target.name}"
    facts = [study.model.kind, target, counted(study.samples.n, "sample"), study.created[:10]]
    return [fact for fact in facts if fact]


def write_page(page: str, path: Path, *, option: str = "--out", named: Named = "file") -> None:
    """Write a page; an older one is replaced. `option` is the one that named the file or its folder, for messages.

    Raises:
        UsageError: If the file is something else than a report, or it cannot be written.
    """
    refuse_other_file(path, option=option, named=named)
    with _writing(path, f"{named} with {option}"):
        path.write_text(page, "utf-8")


def refuse_other_file(path: Path, *, option: str, named: Named = "file") -> None:
    """Refuse a path at which something else than a report stands; commands call it before long work.

    Raises:
        UsageError: If it is a folder, another file, or a file that cannot be read.
    """
    with _writing(path, f"{named} with {option}"):
        if path.is_dir() and named == "file":
            raise UsageError(f"'{path}' is a folder, and {option} takes a file; name the file to write")
        if path.is_dir():
            raise UsageError(f"'{path}' is a folder, and a report is written there; name another folder with {option}")
        if path.is_file() and _MARK not in path.read_text("utf-8", errors="replace")[:2000]:
            raise UsageError(f"'{path}' exists and is no report of quantlab; name another {named} with {option}")


@contextmanager
def _writing(path: Path, another: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to '{path}' ({error.strerror}); name another {another}"
        ) from error


_UNIT = re.compile(r"(?<=\d) (?=(?:B|KB|MB|GB|pt|points|ms|dB)\b|%)")


def _unbroken(text: str) -> str:
    """The same text in which no line ends between a number and its unit."""
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("quantlab_reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    terms = Terms()
    environment.filters["without_bar"] = without_bar  # bars of block characters are for terminals
    environment.filters["unbroken"] = _unbroken
    environment.filters["linked"] = terms.linked
    environment.globals["terms"] = terms
    return environment.get_template(name)

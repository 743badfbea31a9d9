"""Writes the page: the first screen, the sections, and the style and script inside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantlab.errors import UsageError
from quantlab.names import counted
from quantlab_reports.charts import CHARTS, for_page
from quantlab_reports.figures import without_bar
from quantlab_reports.page.contract import Section
from quantlab_reports.page.headline import headline_of
from quantlab_reports.page.markup import safe
from quantlab_reports.page.registry import SECTIONS
from quantlab_reports.subject import Subject

__all__ = ["report_page", "write_page"]

_MARK = '<meta name="generator" content="quantlab'
"""By which a page is recognized as one of ours, which may be written over."""


def report_page(subject: Subject, sections: Mapping[str, Section] = SECTIONS) -> str:
    """The report of a study as one HTML file without any reference to another one.

    Whatever comes from the study is escaped. Without scripts everything can be read; they add hovering, sorting and
    filtering.
    """
    study = subject.study
    pareto = for_page(CHARTS["pareto"], subject)
    filled = [(name, section, section.content(subject)) for name, section in sections.items()]
    page: str = _template("page.html.jinja").render(
        name=subject.name,
        headline=headline_of(subject),
        facts=_facts(subject),
        version=study.versions.get("quantlab", ""),
        pareto=None if pareto is None else safe(pareto),
        absent=CHARTS["pareto"].absent,
        caption=_caption(subject),
        sections=filled,
    )
    return page


def _caption(subject: Subject) -> str:
    whiskers = "Lines are 95 % intervals of the table"
    if subject.tuning is None:
        return f"{whiskers}."
    return f"{whiskers}; small points are candidates of the search, with their loss on the search samples."


def _facts(subject: Subject) -> Sequence[str]:
    study = subject.study
    target = "" if subject.target.name == "any" else f"for the target {subject.target.name}"
    facts = [study.model.kind, target, counted(study.samples.n, "sample"), study.created[:10]]
    return [fact for fact in facts if fact]


def write_page(page: str, path: Path) -> None:
    """Write a page; an older one is replaced.

    Raises:
        UsageError: If the file is something else than a report, or it cannot be written.
    """
    try:
        if path.is_dir():
            raise UsageError(f"'{path}' is a folder, and --out takes a file; name the file to write")
        if path.is_file() and _MARK not in path.read_text("utf-8", errors="replace")[:2000]:
            raise UsageError(f"'{path}' exists and is no report of quantlab; name another file with --out")
        path.write_text(page, "utf-8")
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to '{path}' ({error.strerror}); name another file with --out"
        ) from error


def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("quantlab_reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["without_bar"] = without_bar  # bars of block characters are for terminals
    return environment.get_template(name)

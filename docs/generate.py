"""Writes the pages of the reference from the code: `python docs/generate.py`; `--check` fails where one is out of date.

| page | comes from |
|---|---|
| `cli.md` | the commands' functions in `quantlab/cli/app.py`: docstrings, options, help texts (`cli_page.py`) |
| `api.md` | `quantlab.__all__` and the values that a study holds: signatures, docstrings, fields (`api_page.py`) |
| `settings.md` | `SETTINGS`, `RUNTIMES`, `FORMATS`, `TARGETS` and `PAIRED_METRICS` (`blocks.py`) |
| `preprocessing.md` | the registries of `quantlab.preprocessing` and its exporters (`preprocessing_page.py`) |
| `json.md` | docstrings of `trial_records`, `verdict_document` and `attestation`, and fields of the rows of `VIEWS` |
| `errors.md` | the docstrings of `quantlab.errors` |
| `hazards.md` | the descriptors in `quantlab.lint.HAZARDS` |

Every other page is written by hand, except for the blocks that `blocks.py` writes into it.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from api_page import api_page
from blocks import BLOCKS, with_blocks
from cli_page import cli_page
from docstrings import after_first_line, cell, class_body, documented, first_line, one_line
from glossary_page import glossary_page
from hazards_page import hazards_page
from preprocessing_page import preprocessing_page

from quantlab import errors
from quantlab.types.inspection import CallSnippet, ContractPort, ContractSheet, SheetArtifact, TriedCall
from quantlab_reports import VIEWS, attestation, verdict_document
from quantlab_reports.batch import BatchRow
from quantlab_reports.compared import CompareRow
from quantlab_reports.diagnosed import diagnosis_document
from quantlab_reports.hazards import lint_document
from quantlab_reports.pipelines import pipelines_document
from quantlab_reports.planned import PlanRow
from quantlab_reports.views import trial_records
from quantlab_reports.views.recommendation import RecommendationRow
from quantlab_reports.views.sensitivity import SensitivityRow

__all__ = ["PAGES", "main", "outdated"]

HERE = Path(__file__).parent


def settings_page() -> str:
    """Everything that a name on the command line can choose."""
    return "\n\n".join(
        [
            "# Settings, runtimes, formats, targets and metrics",
            "`--settings` and `--runtimes` take names and globs, separated by commas. `all` chooses every one.",
            "## Settings",
            "A setting is one way to quantize. Its name is `<format>-<scheme>`.",
            BLOCKS["settings"]([]),
            "## Runtimes",
            "A runtime is where a variant runs. Its name is `<host>-<backend>`.",
            BLOCKS["runtimes"]([]),
            "## Formats",
            BLOCKS["formats"]([]),
            "## Targets",
            "A target is where you ship the model. It decides which formats, runtimes and size count.",
            BLOCKS["targets"]([]),
            "## Metrics",
            BLOCKS["metrics"]([]),
        ]
    )


def json_page() -> str:
    """The keys of a trial's row, as the rendering's docstring has them, and those of the rows inside."""
    intro = "`quantlab show --format json` prints a list of rows, `--format csv` the same rows as a table."
    parts = ["# The rows as JSON and CSV", intro, after_first_line(trial_records)]
    parts += ["## `quantlab gate --json`", after_first_line(verdict_document)]
    parts += ["## `quantlab gate --attest`", after_first_line(attestation)]
    parts += ["## `quantlab lint --json`", after_first_line(lint_document)]
    parts += ["## `quantlab diagnose --json`", after_first_line(diagnosis_document)]
    parts += ["## `quantlab diagnose --pipelines --json`", after_first_line(pipelines_document)]
    rows = {f"show {name}": view.kind for name, view in VIEWS.items()} | {
        "recommend --json": RecommendationRow,
        "plan --json": PlanRow,
        "sensitivity": SensitivityRow,
        "compare --json": CompareRow,
        "batch --json": BatchRow,
    }
    for command, kind in rows.items():
        if kind is not None:
            parts += [f"## `quantlab {command}`", inspect.getdoc(kind) or "", _keys(kind)]
    for name, kind in _SHEET.items():
        parts += [f"## `quantlab inspect --json`{name}", inspect.getdoc(kind) or "", _keys(kind)]
    return "\n\n".join(parts)


_SHEET: Mapping[str, type] = {
    "": ContractSheet,
    ": a row of `artifacts`": SheetArtifact,
    ": a row of `ports`": ContractPort,
    ": a row of `calls`": TriedCall,
    ": a row of `snippets`": CallSnippet,
}
"""What a heading ends with → the dataclass of the document, and those of its lists."""


def _keys(value: type) -> str:
    """The fields of a row's type, whose names are the keys."""
    lines = [f"| `{name}` | {cell(one_line(text))} |" for name, (_, _, text) in documented(class_body(value))]
    return "\n".join(["| key | description |", "|---|---|", *lines])


def errors_page() -> str:
    """What is raised on purpose."""
    return "\n\n".join(["# Errors", first_line(errors), after_first_line(errors)])


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
    "glossary.md": glossary_page,
    "hazards.md": hazards_page,
    "json.md": json_page,
    "preprocessing.md": preprocessing_page,
    "settings.md": settings_page,
}
"""Every generated page, and what makes its text."""


_NOTICE = "<!-- Made by docs/generate.py from the code. Change the code, then run: python docs/generate.py -->"


def outdated() -> list[str]:
    """The pages whose file differs from what the code gives, by their paths below `docs`."""
    return sorted(name for name in {*PAGES, *_with_blocks()} if not _holds(HERE / name, _text(name)))


def _with_blocks() -> list[str]:
    """The hand-written pages that hold generated blocks."""
    pages = (path for path in HERE.rglob("*.md") if path.relative_to(HERE).as_posix() not in PAGES)
    return [
        path.relative_to(HERE).as_posix() for path in pages if "<!-- generated: " in path.read_text(encoding="utf-8")
    ]


def _text(name: str) -> str:
    if name not in PAGES:
        return with_blocks((HERE / name).read_text(encoding="utf-8"))
    return f"{_NOTICE}\n\n{PAGES[name]()}\n"


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str]) -> int:
    """Write the pages, or say which are out of date; the exit status."""
    if arguments not in ([], ["--check"]):
        print("write 'python docs/generate.py' or 'python docs/generate.py --check'", file=sys.stderr)
        return 2
    stale = outdated()
    if arguments and stale:
        print(
            f"out of date: {', '.join(f'docs/{name}' for name in stale)}; run 'python docs/generate.py'",
            file=sys.stderr,
        )
        return 1
    for name in stale:
        (HERE / name).write_text(_text(name), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes the pages of the reference from the code: `python docs/generate.py`; `--check` fails where one is out of date.

| page | comes from |
|---|---|
| `cli.md` | the commands' functions in `quantlab/cli/app.py`: docstrings, options, help texts (`cli_page.py`) |
| `api.md` | `quantlab.__all__` and the values that a study holds: signatures, docstrings, fields (`api_page.py`) |
| `settings.md` | `SETTINGS` and `RUNTIMES` |
| `json.md` | the docstrings of `trial_records` and `verdict_document`, and the fields of the rows that `VIEWS` show |
| `errors.md` | the docstrings of `quantlab.errors` |
| `architecture.md` | between two of its lines, the layers of `pyproject.toml` and the modules (`structure.py`) |
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from api_page import api_page
from cli_page import cli_page
from docstrings import after_first_line, cell, class_body, documented, first_line, one_line
from glossary_page import glossary_page
from structure import with_structure

from quantlab import errors, settings
from quantlab.formats import FORMATS
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab_reports import VIEWS, verdict_document
from quantlab_reports.views import trial_records

__all__ = ["PAGES", "main", "outdated"]

HERE = Path(__file__).parent


def settings_page() -> str:
    """The settings and the runtimes there are."""
    made = [
        f"| `{setting.name}` | {setting.description} | {_yes(setting.default)} | {_yes(setting.calibrated)} |"
        for setting in settings.SETTINGS.values()
    ]
    runs = [
        f"| `{runtime.name}` | {runtime.description} | {_run_by(runtime)} | {_yes(runtime.default)} "
        f"| {f'`{runtime.fallback}`' if runtime.fallback else ''} |"
        for runtime in RUNTIMES.values()
    ]
    return "\n".join(
        [
            "# Settings and runtimes",
            "",
            "A setting is one way to quantize: `<format>-<scheme>`.",
            "A runtime is where a variant runs: `<host>-<backend>`.",
            "`--settings` and `--runtimes` take names and globs, separated by commas; `all` is every one.",
            "",
            "## Settings",
            "",
            "| setting | is | run by default | needs samples |",
            "|---|---|---|---|",
            *made,
            "",
            "## Runtimes",
            "",
            "| runtime | is | runs | used by default | with `--fallback`, what it lacks an op for runs in |",
            "|---|---|---|---|---|",
            *runs,
        ]
    )


def _run_by(runtime: Runtime) -> str:
    return ", ".join(name for name, descriptor in FORMATS.items() if runtime.runs(descriptor))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def json_page() -> str:
    """The keys of a trial's row, as the rendering's docstring has them, and those of the rows inside."""
    intro = "`quantlab show --format json` prints a list of rows, `--format csv` the same rows as a table."
    parts = ["# The rows as JSON and CSV", intro, after_first_line(trial_records)]
    parts += ["## `quantlab gate --json`", after_first_line(verdict_document)]
    for name, view in VIEWS.items():
        if view.kind is None:
            continue
        parts += [f"## `quantlab show {name}`", inspect.getdoc(view.kind) or "", _keys(view.kind)]
    return "\n\n".join(parts)


def _keys(value: type) -> str:
    """The fields of a row's type, whose names are the keys."""
    lines = [f"| `{name}` | {cell(one_line(text))} |" for name, (_, _, text) in documented(class_body(value))]
    return "\n".join(["| key | is |", "|---|---|", *lines])


def errors_page() -> str:
    """What is raised on purpose."""
    return "\n\n".join(["# Errors", first_line(errors), after_first_line(errors)])


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
    "glossary.md": glossary_page,
    "json.md": json_page,
    "settings.md": settings_page,
}
"""Every generated page, and what makes its text."""


_DRAWN = "architecture.md"
"""A page that is written by hand but for what `structure` draws into it."""


_NOTICE = "<!-- Made by docs/generate.py from the code. Change the code, then run: python docs/generate.py -->"


def outdated() -> list[str]:
    """The pages whose file is not what the code says."""
    return [name for name in (*PAGES, _DRAWN) if not _holds(HERE / name, _text(name))]


def _text(name: str) -> str:
    if name == _DRAWN:
        return with_structure((HERE / name).read_text(encoding="utf-8"))
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

"""Tables that hand-written pages take from the code, each between two comments.

`<!-- generated: NAME ARGUMENTS -->` begins a block and `<!-- end of generated -->` ends it. NAME is a key of `BLOCKS`.
`docs/generate.py` writes the blocks of every page, and `--check` fails where one is out of date.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from cli_page import option_rows
from docstrings import cell, class_body, documented, first_line, one_line
from structure import layers

from quantlab import Budget, Preprocessing, cli
from quantlab.formats import FORMATS
from quantlab.gate.targets import TARGETS
from quantlab.names import choose
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab.settings import select_settings
from quantlab.statistics import FAMILIES, PAIRED_METRICS
from quantlab_reports import VIEWS

__all__ = ["BLOCKS", "runtimes", "settings", "with_blocks"]

_ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(r"<!-- generated: ([^\n]+?) -->\n.*?<!-- end of generated -->", re.DOTALL)


def with_blocks(page: str) -> str:
    """The page with each of its blocks written anew.

    Raises:
        ValueError: If a block has a name that is not in `BLOCKS`, or has no end.
    """
    written, count = _BLOCK.subn(_written, page)
    if count != page.count("<!-- generated: "):
        raise ValueError("a generated block has no line '<!-- end of generated -->'")
    return written


def _written(match: re.Match[str]) -> str:
    name, *arguments = match[1].split()
    if name not in BLOCKS:
        raise ValueError(f"there is no generated block '{name}'; choose one of {', '.join(sorted(BLOCKS))}")
    return f"<!-- generated: {match[1]} -->\n\n{BLOCKS[name](arguments)}\n\n<!-- end of generated -->"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def settings(patterns: Sequence[str]) -> str:
    """The settings that names and globs choose; all of them without any."""
    rows = [
        (f"`{setting.name}`", setting.description, _yes(setting.default), _yes(setting.calibrated))
        for setting in select_settings(patterns or ["all"])
    ]
    return _table(("setting", "description", "run by default", "needs calibration samples"), rows)


def runtimes(patterns: Sequence[str]) -> str:
    """The runtimes that names and globs choose; all of them without any."""
    rows = [
        (
            f"`{runtime.name}`",
            runtime.description,
            ", ".join(_formats_of(runtime)),
            _yes(runtime.default),
            f"`{runtime.fallback}`" if runtime.fallback else "",
        )
        for runtime in (RUNTIMES[name] for name in choose("runtime", patterns or ["all"], list(RUNTIMES)))
    ]
    return _table(("runtime", "description", "formats", "used by default", "`--fallback` runs missing ops in"), rows)


def _formats_of(runtime: Runtime) -> list[str]:
    return [name for name, descriptor in FORMATS.items() if runtime.runs(descriptor)]


def _formats(_: Sequence[str]) -> str:
    """Every format: what its artifact is, where it runs, and what it is shipped to."""
    rows = [
        (
            f"`{descriptor.name}`",
            descriptor.looks,
            _code([runtime.name for runtime in RUNTIMES.values() if runtime.runs(descriptor)]),
            _code(descriptor.targets),
        )
        for descriptor in FORMATS.values()
    ]
    return _table(("format", "artifact", "runtimes", "targets"), rows)


def _targets(_: Sequence[str]) -> str:
    """Every target: which formats, runtimes and size count there."""
    rows = [
        (
            f"`{target.name}`",
            "all" if target.formats is None else _code(target.formats),
            "all that were run" if target.runtimes == ("*",) else _code(target.runtimes),
            target.size_word,
            ", ".join(target.beyond),
        )
        for target in TARGETS.values()
    ]
    return _table(("`--target`", "formats", "runtimes that count", "size", "never tested by quantlab"), rows)


def _options(arguments: Sequence[str]) -> str:
    """Options of a command: its name, then the options' names; all of them without any."""
    command, *names = arguments
    return option_rows(command, names)


def _keys(arguments: Sequence[str]) -> str:
    """The keys of a table of `quantlab.toml`."""
    (name,) = arguments
    kind = {"budget": Budget, "preprocessing": Preprocessing}[name]
    rows = [
        (f"`{key}`", cell(one_line(text)), "" if default == "`None`" else cell(default.replace("'", '"')))
        for key, (_, default, text) in documented(class_body(kind))
        if default != "derived"
    ]
    return _table(("key", "description", "default"), rows)


def _metrics(_: Sequence[str]) -> str:
    """Every metric whose loss can be judged."""
    needs = {
        "classes": "class labels",
        "positions": "class labels of pixels or steps",
        "numbers": "numeric targets",
        "labels": "labels of any kind",
        "truth": "ground truth of its own form",
    }
    families = [(family.spelled, family) for family in FAMILIES]
    rows = [
        (f"`{cell(name)}`", f"{metric.direction} is better", metric.unit or "unit of the output", needs[metric.needs])
        for name, metric in (*PAIRED_METRICS.items(), *families)
    ]
    return _table(("`--metric`", "direction", "unit of the loss", "needs"), rows)


def _views(_: Sequence[str]) -> str:
    """What `quantlab show` prints besides the table."""
    rows = [
        (f"`quantlab show {name}`", cell(first_line(view.kind)))
        for name, view in VIEWS.items()
        if view.kind is not None
    ]
    return _table(("command", "one row"), rows)


def _exit_statuses(_: Sequence[str]) -> str:
    """The table of exit statuses in the docstring of `quantlab.cli`."""
    table = re.search(r"^\| exit status .*?(?=\n\n|\Z)", cli.__doc__ or "", re.DOTALL | re.MULTILINE)
    if table is None:
        raise ValueError("the docstring of quantlab.cli has no table of exit statuses")
    return table[0]


def _action(arguments: Sequence[str]) -> str:
    """The inputs or the outputs of the GitHub Action."""
    (part,) = arguments
    document = yaml.safe_load((_ROOT / "action.yml").read_text(encoding="utf-8"))
    rows = [(f"`{name}`", cell(one_line(entry["description"]))) for name, entry in document[part].items()]
    return _table((part.removesuffix("s"), "description"), rows)


def _layers(_: Sequence[str]) -> str:
    """The layers of the packages, their sizes, and which imports which."""
    return layers()


BLOCKS: Mapping[str, Callable[[Sequence[str]], Any]] = {
    "action": _action,
    "exit-statuses": _exit_statuses,
    "formats": _formats,
    "keys": _keys,
    "layers": _layers,
    "metrics": _metrics,
    "options": _options,
    "runtimes": runtimes,
    "settings": settings,
    "targets": _targets,
    "views": _views,
}
"""Name of a block → the function that writes it, from the words that follow its name."""

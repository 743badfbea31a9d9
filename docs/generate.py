"""Writes the pages of the reference from the code: `python docs/generate.py`; `--check` fails where one is out of date.

| page | comes from |
|---|---|
| `cli.md` | the commands' functions in `quantlab/cli/app.py`: docstrings, options, help texts |
| `api.md` | `quantlab.__all__` and the values that a study holds: signatures, docstrings, fields |
| `settings.md` | `SETTINGS` and `RUNTIMES` |
| `json.md` | the docstrings of `trial_records` and `verdict_document`, and the fields of the rows that `VIEWS` show |
| `errors.md` | the docstrings of `quantlab.errors` |
| `architecture.md` | between two of its lines, the layers of `pyproject.toml` and the modules (`structure.py`) |
"""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from structure import with_structure

import quantlab
from quantlab import cli, errors, settings, types
from quantlab.cli.app import app
from quantlab.formats import FORMATS
from quantlab.progress import Progress
from quantlab.runtimes import RUNTIMES, Runtime
from quantlab_reports import VIEWS, verdict_document
from quantlab_reports.views import trial_records

__all__ = ["PAGES", "main", "outdated"]

HERE = Path(__file__).parent


def cli_page() -> str:
    """Every command with its arguments and options."""
    intro = _after_first_line(cli).replace("| exit status | means |", "## Exit status\n\n| exit status | means |", 1)
    commands = {info.name or info.callback.__name__: info.callback for info in app.registered_commands if info.callback}
    listed = [
        f"- [`quantlab {name}`](#quantlab-{name}): {_first_line(callback)}" for name, callback in commands.items()
    ]
    parts = ["# The command line", "\n".join(listed), intro]
    parts += ["`--debug` anywhere shows tracebacks; `--help` after a command lists its options."]
    for name, callback in commands.items():
        parts += [f"## quantlab {name}", _usage(name, callback), _markdown(inspect.getdoc(callback) or "")]
        parts += _option_tables(callback)
    return "\n\n".join(parts)


@dataclasses.dataclass(frozen=True, slots=True)
class _Option:
    """An argument or option of a command."""

    name: str
    """As it is typed: `--data`, or `MODEL` for an argument."""
    takes: str
    """A word for its value; empty for a flag."""
    required: bool
    default: str
    text: str

    @property
    def argument(self) -> bool:
        """Whether it is known by its place."""
        return not self.name.startswith("--")


_WORDS: Mapping[Any, str] = {Path: "PATH", int: "N", float: "NUMBER", bool: "", str: "TEXT"}


def _options(callback: Callable[..., Any]) -> list[_Option]:
    hints = typing.get_type_hints(callback, include_extras=True)
    parameters = inspect.signature(callback).parameters.values()
    return [_option(parameter, *typing.get_args(hints[parameter.name])) for parameter in parameters]


def _option(parameter: inspect.Parameter, kind: Any, declared: Any) -> _Option:
    text, default = declared.help, parameter.default
    described = re.search(r" ?\[default: (.*)\]$", text)
    if described:
        text, shown = text[: described.start()], described[1]
    else:
        shown = (
            ""
            if default in (None, parameter.empty) or default is False
            else f"`{default:g}`"
            if _number(default)
            else f"`{default}`"
        )
    argument = type(declared).__name__ == "ArgumentInfo"
    name = parameter.name.upper() if argument else (declared.param_decls or [_dashed(parameter.name)])[0]
    return _Option(name, _takes(kind), default is parameter.empty, shown, text)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _takes(kind: Any) -> str:
    inner = [argument for argument in typing.get_args(kind) if argument is not type(None)]
    return _takes(inner[0]) if inner else _WORDS[kind]


def _usage(name: str, callback: Callable[..., Any]) -> str:
    words = ["quantlab", name]
    options = _options(callback)
    words += [option.name if option.required else f"[{option.name}]" for option in options if option.argument]
    words += [f"{option.name} {option.takes}" for option in options if option.required and not option.argument]
    words += ["[OPTIONS]"] if any(not option.argument and not option.required for option in options) else []
    return f"```text\n{' '.join(words)}\n```"


def _option_tables(callback: Callable[..., Any]) -> list[str]:
    rows = [
        (f"`{option.name} {option.takes}`".replace(" `", "`") if not option.argument else f"`{option.name}`", option)
        for option in _options(callback)
    ]
    if not rows:
        return []
    lines = [
        f"| {name} | {_cell(option.text)} | {'required' if option.required else _cell(option.default)} |"
        for name, option in rows
    ]
    return ["\n".join(["| option | is | default |", "|---|---|---|", *lines])]


def api_page() -> str:
    """The public names, then the values that they give back."""
    public = {name: getattr(quantlab, name) for name in sorted(quantlab.__all__, key=str.lower)}
    values = {kind.__name__: kind for kind in _reachable(public) if kind.__name__ not in public}
    parts = ["# The Python API", "All of it is imported from `quantlab`; a name is loaded when it is first asked for."]
    parts += ["\n".join(f"- [`{name}`](#{name.lower()})" for name in public)]
    for name, value in public.items():
        parts += [f"## {name}", *_described(name, value)]
    parts += ["## The values inside", "These are reached through the values above, and live in `quantlab.types`."]
    for name, value in sorted(values.items(), key=lambda item: item[0].lower()):
        parts += [f"### {name}", *_described(name, value)]
    parts += ["## Progress", "`quantlab.progress.Progress`: what `analyze` and `convert` tell an object of yours."]
    parts += [_markdown(inspect.getdoc(Progress) or ""), _methods(Progress)]
    return "\n\n".join(parts)


def _described(name: str, value: Any) -> list[str]:
    if dataclasses.is_dataclass(value) and isinstance(value, type):
        return [_markdown(inspect.getdoc(value) or ""), _fields(value)]
    if inspect.isfunction(value):
        return [f"```python\n{_signature(value)}\n```", _markdown(inspect.getdoc(value) or "")]
    if isinstance(value, type):
        return [inspect.getdoc(value) or "", "The whole tree is in [errors.md](errors.md)."]
    return _constant(name, value)


def _constant(name: str, value: Mapping[str, Any]) -> list[str]:
    texts = dict(_documented(ast.parse(inspect.getsource(settings)).body))
    of = f"`{name}: dict[str, {type(next(iter(value.values()))).__name__}]`"
    return [of, texts[name][2], "They are listed in [settings.md](settings.md)."]


def _signature(function: Callable[..., Any]) -> str:
    """One parameter a line, names without their modules."""
    signature = inspect.signature(function)
    lines, starred = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            lines, starred = [*lines, "*"], True
        lines.append(str(parameter))
    inside = "".join(f"    {line},\n" for line in lines)
    returned = inspect.formatannotation(signature.return_annotation)
    return _short(f"{function.__name__}(\n{inside}) -> {returned}")


def _short(text: str) -> str:
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def _fields(value: type) -> str:
    lines = [
        f"| `{name}` | `{_cell(_spelled(kind))}` | {_cell(default)} | {_cell(_one_line(text))} |"
        for name, (kind, default, text) in _documented(_class_body(value))
    ]
    return "\n".join(["| field | type | default | is |", "|---|---|---|---|", *lines])


def _class_body(value: type) -> list[ast.stmt]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    return typing.cast("ast.ClassDef", tree).body


def _spelled(kind: str) -> str:
    """The values of a type that has a name of its own, as `Task`."""
    named = getattr(types, kind, None)
    return f"Literal{list(typing.get_args(named))}" if typing.get_origin(named) is typing.Literal else kind


def _methods(value: type) -> str:
    methods = [method for method in _class_body(value) if isinstance(method, ast.FunctionDef)]
    lines = [
        f"| `{method.name}({_parameters(method)})` | {_cell(_one_line(ast.get_docstring(method) or ''))} |"
        for method in methods
    ]
    return "\n".join(["| method | is called when |", "|---|---|", *lines])


def _parameters(method: ast.FunctionDef) -> str:
    return ast.unparse(method.args).removeprefix("self").removeprefix(", ").replace("=", " = ")


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Annotated names and properties of a class or module: name, then type, default and docstring."""
    for place, statement in enumerate(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            following = body[place + 1] if place + 1 < len(body) else None
            default = "" if statement.value is None else f"`{_default(ast.unparse(statement.value))}`"
            yield statement.target.id, (ast.unparse(statement.annotation), default, _string(following))
        elif isinstance(statement, ast.FunctionDef) and any(
            ast.unparse(d) == "property" for d in statement.decorator_list
        ):
            returned = "" if statement.returns is None else ast.unparse(statement.returns)
            yield statement.name, (returned, "derived", ast.get_docstring(statement) or "")


def _default(text: str) -> str:
    """`field(default_factory=dict)` as what it makes."""
    made = re.fullmatch(r"field\(default_factory=(\w+)\)", text)
    return {"dict": "{}", "list": "[]"}.get(made[1], f"{made[1]}()") if made else text


def _string(statement: ast.stmt | None) -> str:
    if (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    ):
        return inspect.cleandoc(statement.value.value)
    return ""


def _reachable(public: Mapping[str, Any]) -> list[type]:
    """The dataclasses of `quantlab.types` that public values hold or functions return, however deep."""
    kinds: dict[str, type] = {}
    waiting = [value for value in public.values() if dataclasses.is_dataclass(value)]
    waiting += [_returned(value) for value in public.values() if inspect.isfunction(value)]
    waiting += [type(next(iter(value.values()))) for value in public.values() if isinstance(value, Mapping)]
    while waiting:
        kind = waiting.pop()
        waiting += typing.get_args(kind)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__name__ not in kinds:
            kinds[kind.__name__] = kind
            waiting += typing.get_type_hints(kind).values()
    return [kind for kind in kinds.values() if kind.__name__ in types.__all__]


def _returned(function: Callable[..., Any]) -> Any:
    return typing.get_type_hints(function)["return"]


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
    parts = ["# The rows as JSON and CSV", intro, _after_first_line(trial_records)]
    parts += ["## `quantlab gate --json`", _after_first_line(verdict_document)]
    for name, view in VIEWS.items():
        if view.kind is None:
            continue
        parts += [f"## `quantlab show {name}`", inspect.getdoc(view.kind) or "", _keys(view.kind)]
    return "\n\n".join(parts)


def _keys(value: type) -> str:
    """The fields of a row's type, whose names are the keys."""
    lines = [f"| `{name}` | {_cell(_one_line(text))} |" for name, (_, _, text) in _documented(_class_body(value))]
    return "\n".join(["| key | is |", "|---|---|", *lines])


def errors_page() -> str:
    """What is raised on purpose."""
    return "\n\n".join(["# Errors", _first_line(errors), _after_first_line(errors)])


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _after_first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[2].strip()


def _cell(text: str) -> str:
    """Text in a table; a `<` outside of code would be a tag."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _markdown(docstring: str) -> str:
    """A docstring with its sections as lists, and its examples as code."""
    blocks = [_block(paragraph) for paragraph in re.split(r"\n\n+", docstring)]
    return "\n\n".join(blocks)


def _block(text: str) -> str:
    if text.startswith(">>> "):
        return f"```pycon\n{text}\n```"
    section = re.match(r"(Args|Returns|Raises|Yields):\n", text)
    if section is None:
        return text
    body = textwrap.dedent(text[section.end() :])
    if section[1] not in {"Args", "Raises"}:
        return f"{section[1]}: {_one_line(body)}"
    items = (_one_line(item).partition(": ") for item in re.split(r"\n(?=\S)", body))
    return "\n".join([f"{section[1]}:", "", *(f"- `{name}`: {meaning}" for name, _, meaning in items)])


PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
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

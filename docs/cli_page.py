"""The page of the command line, from the commands' functions: docstrings, options, help texts."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from docstrings import after_first_line, cell, first_line, markdown

from quantlab import cli
from quantlab.cli.app import app

__all__ = ["cli_page", "option_rows"]


_COMPLETION = """\
`quantlab --install-completion bash` lets the Tab key complete commands and options in new shells. Instead of `bash`, name `zsh`, `fish`, `powershell` or `pwsh`. `--show-completion` prints the script without installing it."""  # noqa: E501


def cli_page() -> str:
    """Every command with its arguments and options."""
    intro = after_first_line(cli).replace("| exit status | means |", "## Exit status\n\n| exit status | means |", 1)
    commands = {_name(info): info.callback for info in app.registered_commands if info.callback}
    listed = [f"- [`quantlab {name}`](#quantlab-{name}): {first_line(callback)}" for name, callback in commands.items()]
    parts = ["# The command line", "\n".join(listed), intro]
    parts += ["`--debug` anywhere shows tracebacks; `-h` or `--help` after a command lists its options."]
    parts += ["## Shell completion", _COMPLETION]
    for name, callback in commands.items():
        parts += [f"## quantlab {name}", _usage(name, callback), markdown(inspect.getdoc(callback) or "")]
        parts += _option_tables(callback)
    return "\n\n".join(parts)


@dataclasses.dataclass(frozen=True, slots=True)
class _Option:
    """An argument or option of a command."""

    name: str
    """As it is typed: `--data`, or `MODEL` for an argument."""
    short: str
    """`-o`, for example; empty if it has no short name."""
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
    name, *short = _names(parameter.name, declared)
    return _Option(name, "".join(short), _takes(kind), default is parameter.empty, shown, text)


def _names(parameter: str, declared: Any) -> list[str]:
    """The name of an argument; or the long name of an option, and its short name if it has one."""
    if type(declared).__name__ == "ArgumentInfo":
        return [(declared.metavar or parameter.upper()).removesuffix("...").strip("[]")]
    # typer takes the first name in an annotation for the default value.
    names = [name for name in (declared.default, *(declared.param_decls or ())) if isinstance(name, str)]
    return sorted(names or [_dashed(parameter)], key=len, reverse=True)


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
    options = _options(callback)
    return [_option_table(options)] if options else []


def _option_table(options: Sequence[_Option]) -> str:
    lines = [
        f"| {_typed(option)} | {cell(option.text)} | {'required' if option.required else cell(option.default)} |"
        for option in options
    ]
    return "\n".join(["| option | description | default |", "|---|---|---|", *lines])


def _typed(option: _Option) -> str:
    short = f"`{option.short}`, " if option.short else ""
    takes = f" {option.takes}" if option.takes and not option.argument else ""
    return f"{short}`{option.name}{takes}`".replace("|", r"\|")  # which would end the cell


def option_rows(command: str, names: Sequence[str]) -> str:
    """The table of some options of a command, in the order of `names`; all options if there are no names.

    Raises:
        ValueError: If the command has no option of a name.
    """
    (callback,) = (info.callback for info in app.registered_commands if _name(info) == command and info.callback)
    options = {option.name: option for option in _options(callback)}
    if unknown := set(names) - set(options):
        raise ValueError(f"'quantlab {command}' has no option {', '.join(sorted(unknown))}")
    return _option_table([options[name] for name in names or options])


def _name(info: Any) -> str:
    return str(info.name or info.callback.__name__)

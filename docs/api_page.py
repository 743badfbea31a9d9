"""The page of the Python API: the public names, and the types of the values that they return."""

import ast
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from docstrings import cell, class_body, documented, markdown, one_line

import quantlab
from quantlab import settings, types
from quantlab.progress import Progress

__all__ = ["api_page"]


def api_page() -> str:
    """The public names, then the types of the values that they return."""
    public = {name: getattr(quantlab, name) for name in sorted(quantlab.__all__, key=str.lower)}
    values = {kind.__name__: kind for kind in _reachable(public) if kind.__name__ not in public}
    parts = ["# The Python API", "Import every name from `quantlab`. A name is loaded on first use."]
    parts += ["\n".join(f"- [`{name}`](#{name.lower()})" for name in public)]
    for name, value in public.items():
        parts += [f"## {name}", *_described(name, value)]
    parts += ["## Other values", "These values are fields of the values above. They are defined in `quantlab.types`."]
    for name, value in sorted(values.items(), key=lambda item: item[0].lower()):
        parts += [f"### {name}", *_described(name, value)]
    parts += [
        "## Progress",
        "`quantlab.progress.Progress`: the methods that `analyze` and `convert` call on your progress object.",
    ]
    parts += [markdown(inspect.getdoc(Progress) or ""), _methods(Progress)]
    return "\n\n".join(parts)


def _described(name: str, value: Any) -> list[str]:
    if dataclasses.is_dataclass(value) and isinstance(value, type):
        return [markdown(inspect.getdoc(value) or ""), _fields(value)]
    if inspect.isfunction(value):
        return [f"```python\n{_signature(value)}\n```", markdown(inspect.getdoc(value) or "")]
    if isinstance(value, type):
        return [inspect.getdoc(value) or "", "The whole tree is in [errors.md](errors.md)."]
    return _constant(name, value)


def _constant(name: str, value: Mapping[str, Any]) -> list[str]:
    texts = dict(documented(ast.parse(inspect.getsource(settings)).body))
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
        f"| `{name}` | `{cell(_spelled(kind))}` | {cell(default)} | {cell(one_line(text))} |"
        for name, (kind, default, text) in documented(class_body(value))
    ]
    return "\n".join(["| field | type | default | description |", "|---|---|---|---|", *lines])


def _spelled(kind: str) -> str:
    """The values of a type that has a name of its own, as `Task`."""
    named = getattr(types, kind, None)
    return f"Literal{list(typing.get_args(named))}" if typing.get_origin(named) is typing.Literal else kind


def _methods(value: type) -> str:
    methods = [method for method in class_body(value) if isinstance(method, ast.FunctionDef)]
    lines = [
        f"| `{method.name}({_parameters(method)})` | {cell(one_line(ast.get_docstring(method) or ''))} |"
        for method in methods
    ]
    return "\n".join(["| method | is called when |", "|---|---|", *lines])


def _parameters(method: ast.FunctionDef) -> str:
    return ast.unparse(method.args).removeprefix("self").removeprefix(", ").replace("=", " = ")


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

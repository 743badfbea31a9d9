"""What the pages take from docstrings: whole texts as Markdown, and the fields of a class with theirs."""

import ast
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

__all__ = ["after_first_line", "cell", "class_body", "documented", "first_line", "markdown", "one_line"]


def first_line(value: Any) -> str:
    """The first line of a docstring; empty where there is none."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def after_first_line(value: Any) -> str:
    """A docstring without its first line."""
    return (inspect.getdoc(value) or "").partition("\n")[2].strip()


def markdown(docstring: str) -> str:
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
        return f"{section[1]}: {one_line(body)}"
    items = (one_line(item).partition(": ") for item in re.split(r"\n(?=\S)", body))
    return "\n".join([f"{section[1]}:", "", *(f"- `{name}`: {meaning}" for name, _, meaning in items)])


def one_line(text: str) -> str:
    """Text without its line breaks, as a cell of a table needs it."""
    return " ".join(text.split())


def cell(text: str) -> str:
    """Text in a table; a `<` outside of code would be a tag."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def class_body(value: type) -> list[ast.stmt]:
    """The statements of a class, read from its source."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    return typing.cast("ast.ClassDef", tree).body


def documented(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str, str]]]:
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

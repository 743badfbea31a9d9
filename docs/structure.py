"""The layers of the packages for `architecture.md`: their order, their sizes, and which imports which."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["layers"]

ROOT = Path(__file__).resolve().parents[1]

_FOLDERS = {
    "quantlab": ROOT / "quantlab",
    "quantlab_converters": ROOT / "converters" / "quantlab_converters",
    "quantlab_reports": ROOT / "reports" / "quantlab_reports",
}


@dataclass(slots=True)
class _Package:
    """A package or module that is a name in the layers."""

    modules: int = 0
    lines: int = 0
    imports: set[str] = field(default_factory=set)


def layers() -> str:
    """The list of layers, and a table with a row for each package."""
    order = _layers()
    names = [name for layer in order for name in layer]
    packages = _packages(names)
    listed = "\n".join(" | ".join(layer) for layer in order)
    rows = [_row(name, packages[name], names) for name in names]
    table = "\n".join(["| package | modules | lines | imports |", "|---|---:|---:|---|", *rows])
    return f"```text\n{listed}\n```\n\n{table}"


def _row(name: str, package: _Package, names: list[str]) -> str:
    return f"| `{name}` | {package.modules} | {_hundreds(package.lines)} | {_joined(names, package.imports)} |"


def _hundreds(lines: int) -> str:
    """Rounded, so that not every change of a line changes the page."""
    return f"{max(100, round(lines, -2)):,}"


def _joined(names: list[str], imports: set[str]) -> str:
    return ", ".join(name.removeprefix("quantlab.") for name in names if name in imports)


def _layers() -> list[list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    return [layer.split(" | ") for layer in contract["layers"]]


def _packages(names: list[str]) -> dict[str, _Package]:
    packages = {name: _Package() for name in names}
    for module, path in _modules():
        name = _among(names, module)
        if name is None:
            continue
        text = path.read_text(encoding="utf-8")
        package = packages[name]
        package.modules += 1
        package.lines += len(text.splitlines())
        imported = (_among(names, target) for target in _imported(ast.parse(text)))
        package.imports |= {other for other in imported if other not in {None, name}}
    return packages


def _modules() -> Iterator[tuple[str, Path]]:
    """Every module by its name; what a build leaves among the JavaScript is none of them."""
    for package, folder in _FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if "js" not in parts:
                yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def _among(names: list[str], module: str) -> str | None:
    """The longest name in the layers that a module is or lies below."""
    matching = [name for name in names if module == name or module.startswith(f"{name}.")]
    return max(matching, key=len, default=None)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)

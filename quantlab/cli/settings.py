"""`quantlab settings`: all settings and runtimes."""

from typing import TYPE_CHECKING, Any

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json, rendering_of

if TYPE_CHECKING:
    from quantlab.registries import Registries
    from quantlab_reports import Table

__all__ = ["settings"]


def settings(json: AsJson = False) -> int:
    """List all settings and runtimes."""
    from quantlab.registries import REAL

    if json:
        print_json({"settings": _settings(REAL), "runtimes": _runtimes(REAL)})
        return OK
    print(_text(REAL))
    return OK


def _settings(registries: "Registries") -> list[dict[str, Any]]:
    return [
        {"setting": setting.name, "default": setting.default, "description": setting.description}
        for setting in registries.settings.values()
        if not setting.keeps_float
    ]


def _runtimes(registries: "Registries") -> list[dict[str, Any]]:
    return [
        {
            "runtime": runtime.name,
            "default": runtime.default,
            "description": runtime.description,
            "formats": [name for name, format_ in registries.formats.items() if runtime.runs(format_)],
        }
        for runtime in registries.runtimes.values()
    ]


def _text(registries: "Registries") -> str:
    """Two tables; a star marks what is used by default."""
    from quantlab.glossary import HINT

    render = rendering_of("terminal")
    first = render(_table("setting", _settings(registries)))
    second = render(
        _table(
            "runtime",
            _runtimes(registries),
            "* used by default. For an ONNX model, every onnx setting is used by default.",
            "Choose by comma-separated names and globs: --settings 'tfjs-*',tflite-dynamic",
        )
    )
    return f"{first.removesuffix(HINT).rstrip()}\n\n{second}"


def _table(kind: str, rows: list[dict[str, Any]], *below: str) -> "Table":
    from quantlab_reports.model import Column, table_of

    columns = [
        Column("", lambda row: "*" if row["default"] else "", numeric=False),
        Column(kind, lambda row: row[kind], numeric=False),
        Column("description", lambda row: row["description"], numeric=False),
        Column("formats", lambda row: ", ".join(row.get("formats", [])), numeric=False),
    ]
    return table_of(columns, rows, below=below)

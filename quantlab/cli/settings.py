"""`quantlab settings`: what there is."""

from typing import TYPE_CHECKING

from quantlab.cli.exit_status import OK

if TYPE_CHECKING:
    from quantlab.registries import Registries

__all__ = ["settings"]


def settings() -> int:
    """List all settings and runtimes."""
    from quantlab.registries import REAL

    print(_text(REAL))
    return OK


def _text(registries: "Registries") -> str:
    """Two tables; a star marks what is used when nothing is asked for."""
    from tabulate import tabulate

    settings = [(_star(setting.default), setting.name, setting.description) for setting in registries.settings.values()]
    runtimes = [
        (
            _star(runtime.default),
            runtime.name,
            runtime.description,
            ", ".join(name for name, format_ in registries.formats.items() if runtime.runs(format_)),
        )
        for runtime in registries.runtimes.values()
    ]
    return "\n".join(
        [
            tabulate(settings, headers=("", "setting", "description"), tablefmt="simple"),
            "",
            tabulate(runtimes, headers=("", "runtime", "description", "formats"), tablefmt="simple"),
            "",
            "* used by default. For an ONNX model, every onnx setting is used by default.",
            "Choose by comma-separated names and globs: --settings 'tfjs-*',tflite-dynamic",
        ]
    )


def _star(default: bool) -> str:
    return "*" if default else ""

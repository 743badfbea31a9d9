"""What there is: settings and runtimes."""

from tabulate import tabulate

from quantlab.runtimes import RUNTIMES
from quantlab.settings import SETTINGS

__all__ = ["settings_text"]


def settings_text() -> str:
    """Two tables; a star marks what is used when nothing is asked for."""
    settings = [(_star(each.default), each.name, each.description) for each in SETTINGS.values()]
    runtimes = [
        (_star(each.default), each.name, each.description, ", ".join(each.formats)) for each in RUNTIMES.values()
    ]
    return "\n".join(
        [
            tabulate(settings, headers=("", "setting", "what it is"), tablefmt="simple"),
            "",
            tabulate(runtimes, headers=("", "runtime", "what it is", "runs"), tablefmt="simple"),
            "",
            "* used when none are named; of an ONNX model every onnx setting is.",
            "Choose with names and globs: --settings 'tfjs-*',tflite-dynamic",
        ]
    )


def _star(default: bool) -> str:
    return "*" if default else ""

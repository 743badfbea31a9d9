"""`quantlab settings`: what there is."""

from quantlab.cli.exit_status import OK

__all__ = ["settings"]


def settings() -> int:
    """List the settings and the runtimes there are."""
    print(_text())
    return OK


def _text() -> str:
    """Two tables; a star marks what is used when nothing is asked for."""
    from tabulate import tabulate

    from quantlab.formats import FORMATS
    from quantlab.runtimes import RUNTIMES
    from quantlab.settings import SETTINGS

    settings = [(_star(setting.default), setting.name, setting.description) for setting in SETTINGS.values()]
    runtimes = [
        (
            _star(runtime.default),
            runtime.name,
            runtime.description,
            ", ".join(name for name, format_ in FORMATS.items() if runtime.runs(format_)),
        )
        for runtime in RUNTIMES.values()
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

"""The commands. Each is one module that parses options, makes one call of the Python API and prints."""

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

from quantlab.cli.accept import accept
from quantlab.cli.analyze import analyze
from quantlab.cli.batch import batch
from quantlab.cli.bisect import bisect
from quantlab.cli.check import check
from quantlab.cli.compare import compare
from quantlab.cli.convert import convert
from quantlab.cli.demo import demo
from quantlab.cli.diagnose import diagnose
from quantlab.cli.doctor import doctor
from quantlab.cli.export import export
from quantlab.cli.gate import gate
from quantlab.cli.glossary import glossary
from quantlab.cli.import_outputs import import_outputs
from quantlab.cli.init import init
from quantlab.cli.inspect import inspect
from quantlab.cli.lint import lint
from quantlab.cli.page import page
from quantlab.cli.phone import phone
from quantlab.cli.plan import plan
from quantlab.cli.plot import plot
from quantlab.cli.preprocessing import preprocessing
from quantlab.cli.recommend import recommend
from quantlab.cli.reduce import reduce
from quantlab.cli.report import report
from quantlab.cli.sensitivity import sensitivity
from quantlab.cli.settings import settings
from quantlab.cli.show import show
from quantlab.cli.tune import tune
from quantlab.cli.verify import verify

__all__ = ["app", "program"]

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Compares quantized variants of a Keras, TensorFlow or ONNX model and recommends which one to ship.",
    epilog="Exit status: 0 success, 1 the budget is broken, 2 something could not be run, 3 too few samples to decide. "
    "Add --debug to any command to print tracebacks.",
)


def _print_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        print(f"quantlab {version('quantlab')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[  # its callback prints and exits
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (
    init,
    lint,
    check,
    analyze,
    tune,
    convert,
    inspect,
    show,
    sensitivity,
    diagnose,
    reduce,
    bisect,
    compare,
    batch,
    recommend,
    report,
    plot,
    export,
    import_outputs,
    phone,
    preprocessing,
    page,
    gate,
    plan,
    accept,
    verify,
    settings,
    glossary,
    doctor,
    demo,
):
    app.command("import" if command is import_outputs else None)(command)  # `import` is no name of a function


@cache
def program() -> Callable[..., object]:
    """Return what runs a command; it is made once, since that takes longer than many a command.

    >>> program() is program()
    True
    """
    return typer.main.get_command(app)

"""`quantlab demo`: analyzes a built-in example."""

from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.analyze import analyze_and_print, begin_early
from quantlab.cli.options import AsJson, Runtimes, Settings, words

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study. [default: quantlab-demo.study]")
    ] = None,
    settings: Settings = None,
    runtimes: Runtimes = None,
    json: AsJson = False,
) -> int:
    """Analyze a built-in example that needs no files of yours.

    It is a small convolutional model with images of digits.
    """
    from quantlab.demo import LOADER, MODEL

    begin_early(MODEL, out or Path("quantlab-demo.study"))
    from quantlab.study import AnalyzeOptions

    options = AnalyzeOptions(
        out=out or Path("quantlab-demo.study"),
        settings=words(settings),
        runtimes=words(runtimes),
        timing_rounds=1,  # an example should not take long
    )
    return analyze_and_print(MODEL, LOADER, options, as_json=json)

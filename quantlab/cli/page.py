"""`quantlab page`: writes the page that runs quantlab in a browser tab; runs nothing."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from quantlab.cli.exit_status import OK
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import say

__all__ = ["page"]


def page(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("site"),
    json: AsJson = False,
) -> int:
    """Write a page that measures models in a browser tab.

    The folder is a static web site. Whoever opens it drops a TensorFlow.js model, a TFLite or an ONNX file with
    samples; the page quantizes the model, runs it on the visitor's own GPU and shows the table. It uploads nothing,
    and works without a network once it was loaded. A page that was written before is replaced; a folder with other
    files is refused.
    """
    from quantlab.tab import write_page

    written = write_page(out)
    served = shlex.quote(str(out))
    say(f"Page written to '{out}'. To open it: python -m http.server -d {served}, then http://localhost:8000/")
    if json:
        print_json({"written": str(written)})
    return OK

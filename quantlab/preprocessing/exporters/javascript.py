"""What both exports to JavaScript share: the arithmetic that quantlab tests itself, and the pipeline as a constant."""

import json
from dataclasses import asdict
from pathlib import Path

from quantlab.types import Pipeline

__all__ = ["constant", "own_module"]

_MODULES = Path(__file__).parents[2] / "runtimes" / "js"


def own_module(name: str) -> str:
    """Read a module of `quantlab/runtimes/js`."""
    return (_MODULES / name).read_text(encoding="utf-8")


def constant(pipeline: Pipeline) -> str:
    """Write the pipeline as a module."""
    fields = json.dumps(asdict(pipeline), indent=2)
    return (
        "/** The declared preprocessing; export it again with 'quantlab preprocessing export' to change it. */\n"
        f"export const PIPELINE = Object.freeze({fields});\n\n"
        f"/** Hash of the pipeline, which vectors.json must have, too. */\n"
        f"export const PIPELINE_SHA256 = '{pipeline.sha256}';\n"
    )

"""Runs the reference: the user's own model, opened once for all requests of a worker."""

import json
from pathlib import Path

from quantlab.models import ModelOptions, Reference, identify, open_reference
from quantlab.processes import Message, import_modules
from quantlab.runtimes.exchange import Job
from quantlab.worker.execution import Execution

__all__ = ["load", "open_once"]

_opened: dict[str, Reference] = {}
"""The last model by its request."""


def load(job: Job) -> Execution:
    """The model that the job's options name."""
    return Execution(open_once(job.options["model"]).call, {})


def open_once(model: Message) -> Reference:
    """The model of a request, open for calls."""
    key = json.dumps(model, sort_keys=True)
    if key not in _opened:
        _opened.clear()
        import_modules(model["custom"])
        shapes = {name: tuple(sizes) for name, sizes in model["shapes"].items()}
        options = ModelOptions(model["signature"], tuple(model["custom"]), bool(model["unsafe"]), shapes)
        file = identify(Path(model["path"]), options)
        _opened[key] = open_reference(file, options, Path(model["export"]))
    return _opened[key]

"""Runs the reference: the user's own model, opened once for all requests of a worker."""

from pathlib import Path

from quantlab.models import ModelOptions, Reference, identify, open_reference
from quantlab.processes import import_modules
from quantlab.runtimes.exchange import Job
from quantlab.types.executor_options import ModelRequest
from quantlab.worker.execution import Execution

__all__ = ["load", "open_once"]

_opened: list[tuple[ModelRequest, Reference]] = []
"""The last model, and what asked for it; none before the first."""


def load(job: Job) -> Execution:
    """The model that the job's options name."""
    return Execution(open_once(job).call, {})


def open_once(job: Job) -> Reference:
    """The model that the job's options name, open for calls.

    Raises:
        ValueError: If they name none.
    """
    model = job.options.model
    if model is None:
        raise ValueError("the reference is run by a job whose options name a model")
    if not _opened or _opened[0][0] != model:
        _opened.clear()
        import_modules(model.custom)
        options = ModelOptions(model.signature, model.custom, model.unsafe, model.shapes)
        file = identify(Path(model.path), options)
        _opened.append((model, open_reference(file, options, Path(model.export))))
    return _opened[0][1]

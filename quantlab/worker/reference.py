"""Runs the reference: the user's model, opened once for all requests to a worker."""

from pathlib import Path

from quantlab.errors import ModelError
from quantlab.foreign import reading
from quantlab.models import ModelOptions, Reference, identify, open_reference, opens
from quantlab.processes import import_modules
from quantlab.runtimes.exchange import Job
from quantlab.types.executor_options import ModelRequest
from quantlab.worker.artifact_reference import open_artifact
from quantlab.worker.execution import Execution

__all__ = ["load", "open_once"]

_opened: list[tuple[ModelRequest, Reference]] = []
"""The last opened model with its request; empty before the first."""


def load(job: Job) -> Execution:
    """Load the model named in the job's options."""
    return Execution(open_once(job).call, {})


def open_once(job: Job) -> Reference:
    """Open the model named in the job's options, or return the open one.

    Raises:
        ValueError: If they name none.
    """
    model = job.options.model
    if model is None:
        raise ValueError("the options of a job for the reference must name a model")
    if not _opened or _opened[0][0] != model:
        _opened.clear()
        import_modules(model.custom)
        options = ModelOptions(model.signature, model.custom, model.unsafe, model.shapes)
        with reading(Path(model.path), ModelError, "it may be damaged, so copy or save it again"):
            file = identify(Path(model.path), options)
            opened = open_reference if opens(file.kind) else open_artifact
            reference = opened(file, options, Path(model.export))
        _opened.append((model, reference))
    return _opened[0][1]

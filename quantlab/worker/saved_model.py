"""Calls the signature of a SavedModel as a server does: the graph with the tag `serve`, in a session, by port names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.savedmodel.artifact import options
from quantlab.models.graph_ops import refuse_acting_saved_model
from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.types import PYTHON
from quantlab.worker.execution import Execution

__all__ = ["load"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a SavedModel's folder, with the signature that is served.

    Raises:
        TrialError: If a port of the signature does not take what the samples are.
        ModelError: If it does more than compute and was not allowed to.
    """
    import tensorflow as tf

    folder = Path(job.artifact)
    name = options(folder).signature
    if not job.options.unsafe:
        refuse_acting_saved_model(folder, name)
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    for file in job.inputs:
        _refuse_other(file, session.graph.get_tensor_by_name(file.tensor))
    fed, fetched = [file.tensor for file in job.inputs], [file.tensor for file in job.outputs]

    def call(batches: Sequence[Array]) -> list[Array]:
        values: list[Array] = session.run(fetched, dict(zip(fed, batches, strict=True)))
        return values

    served = bool(job.backend)
    return Execution(
        call,
        {"signature": name},
        ran_on=f"serving-{job.backend}" if served else PYTHON,
        row_by_row=served,
    )


def _refuse_other(file: TensorFile, taken: Any) -> None:
    """A wrong rank can end the process, so it is refused before the call."""
    dtype = taken.dtype.as_numpy_dtype
    if np.dtype(file.dtype) != np.dtype(dtype):
        raise TrialError(
            f"the input '{file.name}' of the signature takes {taken.dtype.name}, and the samples are {file.dtype}; "
            f"give a SavedModel with the dtypes of the model's inputs"
        )
    rank = taken.shape.rank
    if rank is not None and rank != len(file.shape) + 1:
        raise TrialError(
            f"the input '{file.name}' of the signature has {rank} dimensions, and a batch of samples has "
            f"{len(file.shape) + 1}; give a SavedModel that takes batches of the model's samples"
        )

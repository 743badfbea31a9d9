"""What a worker does with a task: it claims it, runs quantlab's own child, and writes the result.

An engine only calls `run_task`. A child keeps the variant of its last task open, which the next shard of the same run
finds there. So a worker holds one variant for each task that it runs at the same time, and the model if it ran that.
"""

import atexit
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

from quantlab.errors import ArtifactError, MissingOp, ModelError, QuantlabError, SamplesError, TrialError
from quantlab.formats import artifact_sha256
from quantlab.models import ModelOptions, identify
from quantlab.processes import ChildDied, Document, OwnFolder, Preload
from quantlab.processes.preload import WORKERS, WORKERS_OF_KERAS_3
from quantlab.registries import REAL
from quantlab.runtimes import Job, create_output, protocol, python
from quantlab.runtimes.exchange import TensorFile
from quantlab.study.depot import FolderDepot
from quantlab.study.shards.claims import MOST_ATTEMPTS, Exhausted, claimed
from quantlab.study.shards.fetching import run_travelling
from quantlab.study.shards.known_hashes import known_hash
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.modules import refuse_other_modules
from quantlab.study.shards.pools import Pools
from quantlab.study.shards.results import hash_rows_of, publish, read_result, result_file
from quantlab.study.shards.task import Answer, Died, Failed, Ran, Task, task_from
from quantlab.types import Repeated, Timing
from quantlab.types.messages import Failed as FailedMessage
from quantlab.types.messages import Progress, Ready

__all__ = ["run_task"]


def run_task(document: Document) -> Document:
    """Run a task, unless its result exists, and answer with a document; a failure of the variant is an answer, too."""
    own, theirs = this_worker().versions["quantlab"], str(document.get("quantlab"))
    if own != theirs:  # before the task is read, whose fields another version does not know
        return Failed(_differs(this_worker().host, {"quantlab": own}, {"quantlab": theirs})).document()
    return _answer(task_from(document)).document()


def _answer(task: Task) -> Answer:
    folder = Path(task.folder)
    try:
        _refuse_other_versions(task)
        if task.travelling is not None:
            return run_travelling(task, task.travelling, _run)
        if not folder.is_dir():
            raise TrialError(
                f"the worker on {this_worker().host} does not see the study's folder '{folder}'; share it with all "
                f"workers, at the same path"
            )
        done = result_file(folder, task.key).is_file
        with claimed(FolderDepot(folder), task.key, call=task.call, done=done) as mine:
            kept = None if mine else read_result(folder, task.key)
            return kept or _run(task)
    except Exhausted:
        return Died(f"it ended {MOST_ATTEMPTS} workers, and is not tried again", last=True)
    except ChildDied as error:
        return Died(str(error), last=False)
    except QuantlabError as error:
        return Failed(str(error), missing_op=isinstance(error, MissingOp))
    except OSError as error:  # not raised: engines raise it themselves if they lose a worker
        # A disk that is full while a file is written is not told with the file.
        places = f"'{error.filename or folder}'" + ("" if error.filename else f" or '{gettempdir()}'")
        return Failed(
            f"the worker on {this_worker().host} cannot use {places} ({error.strerror or error}); share the study's "
            f"folder and the model with all workers, at the same path, and make room there"
        )


def _refuse_other_versions(task: Task) -> None:
    """Refuse a task whose outputs this machine would compute with other versions.

    Raises:
        QuantlabError: If the versions differ, or a runtime is missing here.
    """
    own_environment = _environment(task)
    others = {name: text for name, text in own_environment.items() if task.environment.get(name) != text}
    if others:
        raise TrialError(_differs(this_worker().host, others, task.environment))


def _differs(host: str, own: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    words = ", ".join(f"{name} {text} and not {theirs.get(name, 'none')}" for name, text in sorted(own.items()))
    return (
        f"the worker on {host} has {words}, on which outputs depend; install the same versions on all workers "
        f"('quantlab doctor --worker' lists them)"
    )


def _environment(task: Task) -> dict[str, str]:
    """What the study's machine has recorded, as it is here."""
    if not task.kind:
        known = REAL.formats.get(task.job.format)
        if known is None or task.runtime not in REAL.runtimes:
            raise TrialError(
                f"the worker on {this_worker().host} does not know the format '{task.job.format}' or the runtime "
                f"'{task.runtime}'; install the same quantlab there"
            )
        return REAL.runtimes[task.runtime].environment(known)
    if (format_ := REAL.format_of_model(task.kind)) is not None:
        return python.environment(format_)
    return python.reference_environment(task.kind)


def _refuse_other_bytes(task: Task) -> None:
    """Compare what is read here with what the study has: a shared folder may show an older state.

    Raises:
        SamplesError: If the samples differ.
        ArtifactError: If the artifact differs.
        ModelError: If the model differs.
        OSError: If one of them is missing.
    """
    try:
        inputs = task.job.inputs
        ranges = (task.job.stop, *((file.offset, file.shape, file.dtype) for file in inputs))
        seen = known_hash((Path(file.file) for file in inputs), ranges, lambda: hash_rows_of(inputs, 0, task.job.stop))
    except OSError as error:
        raise SamplesError(
            f"the worker on {this_worker().host} cannot read the samples ({error.strerror}); share the study's folder "
            f"with all workers, at the same path"
        ) from error
    if seen != task.inputs_sha256:
        raise SamplesError(
            f"the samples of the shard are {seen[:12]}… on {this_worker().host} and {task.inputs_sha256[:12]}… in the "
            f"study; wait until the shared folder is the same everywhere, and run the command again"
        )
    if task.artifact_sha256:
        artifact = Path(task.job.artifact)
        artifact.stat()  # of a missing one, the worker says what to share
        if known_hash([artifact], "artifact", lambda: artifact_sha256(artifact)) != task.artifact_sha256:
            raise ArtifactError(f"'{task.job.artifact}' is another artifact on {this_worker().host} than in the study")
    if task.model_sha256:
        _refuse_other_model(task)


def _refuse_other_model(task: Task) -> None:
    """Compare the model with that of the study before a child opens it, and perhaps exports it into the study's folder.

    Raises:
        ModelError: If it differs.
        OSError: If it is missing.
    """
    model = task.job.options.model
    assert model is not None  # noqa: S101 (a task of the reference names it)
    Path(model.path).stat()  # as above
    refuse_other_modules(task.custom, this_worker().host)
    path, options = Path(model.path), ModelOptions(model.signature, model.custom, model.unsafe, model.shapes)
    if known_hash([path], f"model {options}", lambda: identify(path, options).sha256) != task.model_sha256:
        raise ModelError(
            f"'{model.path}' is another model on {this_worker().host} than in the study; share the model with all "
            f"workers, at the same path"
        )


def _run(task: Task) -> Ran:
    _refuse_other_bytes(task)
    with OwnFolder("shard-outputs") as own:
        job = replace(task.job, outputs=tuple(_created(own.path, task.job, output) for output in task.job.outputs))
        ran = _measured(task, job)
        ran = replace(ran, sha256=hash_rows_of(job.outputs, 0, job.stop))
        publish(Path(task.folder), task.key, ran, job.outputs, job.stop)
    return ran


def _created(folder: Path, job: Job, output: TensorFile) -> TensorFile:
    place = folder / f"{output.position}.npy"
    create_output(place, n=job.stop, shape=output.shape, dtype=output.dtype)
    return replace(output, file=str(place), offset=place.stat().st_size - _size(job, output))


def _size(job: Job, output: TensorFile) -> int:
    from quantlab.study.shards.results import row_bytes

    return job.stop * row_bytes(output)


def _measured(task: Task, job: Job) -> Ran:
    """Run the job in a child.

    Raises:
        TrialError: If the runtime reports a failure.
        QuantlabError: If the runtime dies or hangs.
    """
    ready, repeated = Ready(task.runtime, {}), ()  # type: tuple[Ready, tuple[Repeated, ...]]
    timed, seconds, warm = 0, 0.0, False
    with _POOLS.of(task.call, task.time_limit, _preload(task)) as pool:
        for message in protocol.run(REAL.runtimes[task.runtime], job, pool, opened=task.affinity):
            if isinstance(message, FailedMessage):
                raise (MissingOp if message.missing_op else TrialError)(message.reason)
            if isinstance(message, Ready):
                ready = message
            elif isinstance(message, Repeated):
                repeated += (message,)
            elif isinstance(message, Progress):
                if warm:  # the first batch of a task is not timed
                    timed, seconds = timed + message.batch, seconds + message.seconds
                warm = True
    return Ran("", ready.ran_on, ready.environment, Timing(timed, seconds), repeated, this_worker())


def _preload(task: Task) -> Preload:
    """What children import ahead: a library that few models need only if the outputs depend on it."""
    seldom = set(WORKERS.modules) - set(WORKERS_OF_KERAS_3.modules)
    return WORKERS if seldom & set(task.environment) else WORKERS_OF_KERAS_3


_POOLS = Pools()
"""The child pools of this process."""

atexit.register(_POOLS.close)

"""Runs one variant in one runtime, or reads stored outputs, named by the hash of everything they depend on."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from quantlab.errors import MissingOp, StudyError, TrialError
from quantlab.foreign import reading
from quantlab.formats import Format
from quantlab.gate import are_gone
from quantlab.intact import intact_outputs
from quantlab.models import files_sha256
from quantlab.npy import mapped
from quantlab.runtimes import Job, Runtime, create_output, input_files, protocol, tensor_file
from quantlab.runtimes.python import REFERENCE
from quantlab.samples import kept_subset, refuse_few
from quantlab.store import key_of
from quantlab.study.codes import code_key
from quantlab.study.context import Context
from quantlab.study.shards import JOINED, ShardedRun
from quantlab.study.unfinished import PROGRESS, RunProgress, WrittenRows, hash_rows, read_progress
from quantlab.types import PYTHON, FileState, KeptOutputs, Port, Repeated, SampleSet, TensorSpec, Timing, Variant
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Failed, Message, Ready
from quantlab.types.messages import Progress as ProgressMessage
from quantlab.user_modules import code_sha256

__all__ = ["Run", "bytes_needed", "run_first", "run_kept"]


@dataclass(frozen=True, slots=True)
class Run:
    """One variant in one runtime, or the reference if `variant` is None."""

    name: str
    """Name of the row: a setting, a given variant, or `reference`."""
    runtime: Runtime
    variant: Variant | None
    format: Format | None
    """Format of the variant; None for the reference."""
    artifact: str
    sha256: str
    """Hash of the artifact; for the reference, of everything that its outputs depend on."""
    environment: Mapping[str, str]
    """Versions and flags that the outputs depend on."""
    outputs: Sequence[TensorSpec]
    """The outputs of the reference, with the shapes that were observed."""
    batch_size: int
    options: ExecutorOptions
    note: str | None = None
    """A remark for the row about what is opened."""
    kind: str = ""
    """Kind of the model, for the reference; empty for a variant."""

    @property
    def step(self) -> str:
        """The name of the step in progress events."""
        return f"run {self.name} in {self.runtime.name}"


def run_kept(context: Context, run: Run, samples: SampleSet) -> KeptOutputs:
    """Return the outputs of a run: stored ones, or the completed ones of an interrupted run, or new ones.

    Raises:
        TrialError: If the runtime reports a failure, for example a missing op.
        QuantlabError: If the runtime dies or hangs; its outputs so far are kept for the next call.
    """
    folder = context.store.output_folder(run.name, run.runtime.name, _key(run, samples))
    with context.runs.of(folder):
        return _kept_in(folder, context, run, samples)


def _kept_in(folder: Path, context: Context, run: Run, samples: SampleSet) -> KeptOutputs:
    """The same, for the thread that holds the lock of the folder."""
    kept = context.store.read(folder / "outputs.json", KeptOutputs)
    state = _state(kept, run, folder)
    if state == "damaged":
        context.progress.warn(f"the outputs of {run.name} in {run.runtime.name} are damaged, so it runs again")
    if kept is not None and (state in {"intact", "no hash"} or _scores_suffice(context, run, folder, kept)):
        if context.sharding is not None:
            context.sharding.kept(folder)
        context.progress.begin(run.step, samples.n)
        context.progress.advance(run.step, samples.n)
        context.progress.skip("run", samples.n)
        context.progress.end(run.step, "kept")
        return kept
    cut = context.sharding is not None and run.runtime.address is None
    if not cut:
        refuse_few(samples, f"'{run.step}'")
    context.progress.begin(run.step, samples.n)
    try:
        outputs = (_run_shards if cut else _run_rest)(context, run, samples, folder)
    except BaseException as error:
        context.progress.skip("run", samples.n)
        context.progress.end(run.step, str(error) or type(error).__name__)
        if isinstance(error, MissingOp):  # no later call goes on with outputs of which there is none
            shutil.rmtree(_partial(folder), ignore_errors=True)
        raise
    context.progress.end(run.step, "done")
    return outputs


def _partial(folder: Path) -> Path:
    """Where the outputs of a run are until they are complete."""
    return folder.with_name(f"{folder.name}.partial")


def run_first(context: Context, run: Run, samples: SampleSet, count: int) -> dict[str, npt.NDArray[Any]]:
    """The outputs of a run on the first samples, by name, each (count, …); nothing is stored.

    They are mapped from files that have no name any more, and go with the arrays.

    Raises:
        TrialError: If the runtime reports a failure, for example a missing op.
        QuantlabError: If the runtime is not installed, dies or hangs.
    """
    with tempfile.TemporaryDirectory(dir=context.store.work) as folder:
        _create_outputs(Path(folder), run, count)
        job = replace(_job(run, samples, Path(folder), 0), stop=count)
        for message in protocol.run(run.runtime, job, context.pool):
            _heard(message, RunProgress(), lambda _: None)
        return {spec.name: mapped(Path(folder) / _output_name(spec)) for spec in run.outputs}


def _state(kept: KeptOutputs | None, run: Run, folder: Path) -> FileState:
    """The state of the outputs in a run's folder; those of another run or machine, copied there, count as damaged.

    Their record names the files of the folder that they were written into, whose name is the hash of where they ran.
    """
    if kept is None:
        return "damaged" if (folder / "outputs.json").is_file() else "missing"
    files = {spec.name: (folder / _output_name(spec)).absolute() for spec in run.outputs}
    return intact_outputs(kept) if kept.files == files else "damaged"


def _scores_suffice(context: Context, run: Run, folder: Path, kept: KeptOutputs) -> bool:
    """Whether the outputs were removed, and what is kept of them is all that is needed.

    Not where Python stands in for another library: its outputs are compared with that library's in each study.
    """
    known = context.scores
    if known is None or (run.format is not None and run.runtime.name == PYTHON and run.format.python.stands_in):
        return False
    if not any(map(are_gone, kept.files.values())) or not known.suffice(run.name, run.runtime.name, folder, kept):
        return False
    for file in kept.files.values():  # of an analysis that was killed while it removed them
        file.unlink(missing_ok=True)
    return True


def _key(run: Run, samples: SampleSet) -> str:
    return key_of({"samples": samples.sha256, **_identity(run)})


def _identity(run: Run) -> dict[str, Any]:
    """What outputs depend on besides the samples."""
    return {
        "artifact": run.sha256,
        "runtime": run.runtime.name,
        "environment": dict(run.environment),
        "batch_size": run.batch_size,
        "outputs": [[spec.name, list(spec.shape), spec.dtype] for spec in run.outputs],
        **code_key(run.variant),
    }


def _output_name(spec: TensorSpec) -> str:
    return f"{quote(spec.name, safe='')}.npy"


def _run_rest(context: Context, run: Run, samples: SampleSet, folder: Path) -> KeptOutputs:
    partial = _partial(folder)
    progress = _resume(context, partial, run, samples)
    job = _job(run, samples, partial, progress.done)
    context.progress.advance(run.step, progress.done)
    context.progress.skip("run", progress.done)

    def advanced(samples: int) -> None:
        context.progress.advance(run.step, samples)
        context.progress.work("run", samples)

    ready, outputs = Ready(run.runtime.name, {}), _written(partial, run)
    repeated: tuple[Repeated, ...] = ()
    if progress.done < samples.n:
        with (
            contextlib.closing(protocol.run(run.runtime, job, context.pool)) as messages,
            (partial / PROGRESS).open("r+b", buffering=0) as kept_progress,
        ):
            for message in messages:
                ready = message if isinstance(message, Ready) else ready
                repeated += (message,) if isinstance(message, Repeated) else ()
                begun, progress = progress, _heard(message, progress, advanced)
                progress = _hashed(progress, outputs, run, begun)
                os.pwrite(kept_progress.fileno(), progress.line(), 0)
    (partial / PROGRESS).unlink()
    timing = Timing(progress.timed, progress.seconds)
    kept = _completed(context, run, folder, ready, timing, repeated)
    if run.runtime.address is not None:
        _forget_earlier(folder)
    return kept


def _run_shards(context: Context, run: Run, samples: SampleSet, folder: Path) -> KeptOutputs:
    """Run all samples in shards, and join the outputs of the workers; what is joined is not needed any more."""
    sharding = context.sharding
    assert sharding is not None  # noqa: S101 (the caller has asked)
    partial = _partial(folder)
    _renewed(partial, run, samples)

    def advanced(samples: int) -> None:
        context.progress.advance(run.step, samples)
        context.progress.work("run", samples)

    modules = context.options.model.custom if run.variant is None else ()
    joined = sharding.run(
        ShardedRun(
            runtime=run.runtime.name,
            job=_job(run, samples, partial, 0),
            identity=_identity(run),
            artifact_sha256=run.sha256 if run.variant is not None and run.note is None else "",
            model_sha256=context.file.sha256 if run.variant is None else "",
            kind=run.kind,
            environment=run.environment,
            stored=folder.parent,
            custom={name: code_sha256(name) for name in modules},
        ),
        advanced,
    )
    (partial / PROGRESS).unlink()
    context.store.write(partial / JOINED, joined.shards)  # before the run is complete, else results would be left
    ready = Ready(joined.ran_on, dict(joined.environment))
    kept = _completed(context, run, folder, ready, joined.timing, joined.repeated)
    sharding.forget(joined.shards)
    return kept


def _completed(
    context: Context, run: Run, folder: Path, ready: Ready, timing: Timing, repeated: tuple[Repeated, ...]
) -> KeptOutputs:
    """Move complete outputs to their place, and record them."""
    shutil.rmtree(folder, ignore_errors=True)
    _partial(folder).rename(folder)
    files = {spec.name: folder / _output_name(spec) for spec in run.outputs}
    kept = KeptOutputs(
        files=files,
        ran_on=ready.ran_on,
        environment={**run.environment, **ready.environment},
        timing=timing,
        sha256={name: files_sha256(path) for name, path in files.items()},
        repeated=repeated,
    )
    context.store.write(folder / "outputs.json", kept)
    return kept


def _forget_earlier(folder: Path) -> None:
    """Remove what a server answered before: it is asked again in each study, and its earlier answers are never used."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def _job(run: Run, samples: SampleSet, folder: Path, start: int) -> Job:
    """A job for the samples from `start` on that writes the output files of a folder."""
    return Job(
        format=run.format.name if run.format else "",
        artifact=run.artifact,
        backend="",
        batch_size=run.batch_size,
        start=start,
        stop=samples.n,
        inputs=input_files(kept_subset(samples), run.variant),
        outputs=tuple(
            tensor_file(folder / _output_name(spec), spec, _port(run.variant, spec), place)
            for place, spec in enumerate(run.outputs)
        ),
        options=run.options,
        python=run.format.python if run.format else REFERENCE,
        javascript=run.format.javascript if run.format else None,
    )


def _port(variant: Variant | None, spec: TensorSpec) -> Port | None:
    return next(port for port in variant.outputs if port.name == spec.name) if variant else None


def _resume(context: Context, folder: Path, run: Run, samples: SampleSet) -> RunProgress:
    """The progress of an interrupted run, or new output files.

    Raises:
        StudyError: If there is not enough disk space.
    """
    left = _left(folder, run, samples)
    if left is not None:
        return left
    if (folder / PROGRESS).exists():
        context.progress.warn(
            f"the unfinished outputs of {run.name} in {run.runtime.name} are damaged, so it runs again from its first "
            f"sample"
        )
    _renewed(folder, run, samples)
    return RunProgress()


def _renewed(folder: Path, run: Run, samples: SampleSet) -> None:
    """Create new output files, and their progress.

    Raises:
        StudyError: If there is not enough disk space.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        _create_outputs(folder, run, samples.n)
    except OSError as error:
        megabytes = bytes_needed(run.outputs, samples.n) / 1e6
        raise StudyError(
            f"there is no room for {megabytes:,.2f} MB of outputs in '{folder.parent}' ({error.strerror}); "
            f"make room, choose another --out, or run fewer samples with --limit"
        ) from error
    (folder / PROGRESS).write_bytes(RunProgress().line())


def _left(folder: Path, run: Run, samples: SampleSet) -> RunProgress | None:
    """The progress of an interrupted run; None if there is none, or if its files are not as they were written."""
    left = read_progress(folder / PROGRESS)
    if left is None:
        return None
    done = left.done
    if done == samples.n:  # run the last batch again, so that a process reports its environment
        done = (samples.n - 1) // run.batch_size * run.batch_size
    # Continue only at the start of a batch: with other batches, the last digits of sums may differ.
    if not (0 <= done < samples.n and done % run.batch_size == 0 and _whole(folder, run, samples.n)):
        return None
    outputs = _written(folder, run)
    resumed = _hashed(replace(left, done=done), outputs, run, RunProgress())
    return resumed if _hashed(left, outputs, run, resumed).sha256 == left.sha256 else None


def _written(folder: Path, run: Run) -> list[WrittenRows]:
    return [WrittenRows.of(folder / _output_name(spec)) for spec in run.outputs]


def _hashed(progress: RunProgress, outputs: Sequence[WrittenRows], run: Run, before: RunProgress) -> RunProgress:
    """The progress with the hash of its samples, from that of fewer samples."""
    sha256 = hash_rows(outputs, before.done, progress.done, batch_size=run.batch_size, before=before.sha256)
    return replace(progress, sha256=sha256)


def _create_outputs(folder: Path, run: Run, n: int) -> None:
    """Create the output files of n samples; raises OSError if there is not enough disk space."""
    for spec in run.outputs:
        sizes = [int(size or 0) for size in spec.shape[1:]]
        create_output(folder / _output_name(spec), n=n, shape=sizes, dtype=spec.dtype)


def _whole(folder: Path, run: Run, n: int) -> bool:
    """Whether the output files of an interrupted run still have their shapes and dtypes.

    A file that is missing, truncated, or not a `.npy` file does not.
    """
    for spec in run.outputs:
        try:
            with reading(folder / _output_name(spec), StudyError, "run it again"):
                array = mapped(folder / _output_name(spec))
        except StudyError:
            return False
        if (array.shape, array.dtype.name) != ((n, *(int(size or 0) for size in spec.shape[1:])), spec.dtype):
            return False
    return True


def _heard(message: Message, progress: RunProgress, advance: Callable[[int], None]) -> RunProgress:
    if isinstance(message, Failed):
        raise (MissingOp if message.missing_op else TrialError)(message.reason)
    if not isinstance(message, ProgressMessage):
        return progress
    batch, seconds = (message.batch, message.seconds) if progress.warm else (0, 0.0)
    advance(message.done - progress.done)
    return replace(
        progress,
        done=message.done,
        timed=progress.timed + batch,
        seconds=progress.seconds + seconds,
        warm=True,
    )


def bytes_needed(outputs: Iterable[TensorSpec], n: int) -> int:
    """Bytes that the outputs of one run need on disk."""
    return sum(
        n * int(np.prod([size or 0 for size in spec.shape[1:]], dtype=np.int64)) * np.dtype(spec.dtype).itemsize
        for spec in outputs
    )

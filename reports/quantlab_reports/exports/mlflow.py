"""A study as runs of MLflow: one for the study, with its report, and one below it for each trial."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from quantlab.errors import StudyError, UsageError
from quantlab.names import counted, excerpt
from quantlab.types import Trial
from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.page import report_page
from quantlab_reports.renderings import comma_separated
from quantlab_reports.subject import Subject
from quantlab_reports.views.trials import trial_table

__all__ = ["EXPORT", "Tracker", "export_mlflow", "open_mlflow"]

_LONGEST = 500
"""Most characters of a parameter: the least that any version of MLflow takes."""


class Tracker(Protocol):
    """What is needed of MLflow; a test hands in another one."""

    address: str
    """Where the runs are written to, for the user."""

    def start(self, name: str, parent: str | None) -> str:
        """Begin a run, below another one if there is a parent, and return its identifier."""
        ...

    def log(self, run: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Add parameters, figures and tags to a run."""
        ...

    def add(self, run: str, path: Path, folder: str) -> None:
        """Copy a file, or everything in a folder, into a folder of the run's artifacts; empty means their root."""
        ...

    def end(self, run: str, *, failed: bool) -> None:
        """Close a run."""
        ...


def export_mlflow(
    subject: Subject, asked: Asked, opened: Callable[[str | None, str], Tracker] | None = None
) -> Written:
    """Log a study: every call adds new runs to the experiment of the study's name.

    Args:
        subject: The study; judged if it has a recommendation.
        asked: `tracking` is a folder, or the address of a server; None means where MLflow logs by itself.
        opened: Opens the tracker for `tracking` and the name of an experiment; None means MLflow.
    """
    files = _files_of(subject)
    tracker = (opened or open_mlflow)(asked.tracking, subject.name)
    with _run(tracker, subject.name, None) as whole:
        tracker.log(whole, _facts(subject), {}, _verdict(subject))
        _add_records(tracker, whole, replace(subject, pictures=bool(asked.thumbnails)))
        records = trial_table(subject.study, wide=False).records
        for trial, record in zip((subject.study.reference, *subject.study.trials), records, strict=True):
            with _run(tracker, f"{trial.setting} in {trial.runtime}", whole, failed=trial.failure is not None) as run:
                tracker.log(run, _params(trial, record), _metrics(record), _reason(trial))
                for file in files.pop(trial.setting, ()):
                    tracker.add(run, file, "artifact")
    trials = counted(len(records), "run")
    note = f"Study logged to '{tracker.address}': experiment '{subject.name}', {trials} below one with the report"
    return Written((tracker.address,), (note,))


def open_mlflow(tracking: str | None, experiment: str) -> Tracker:
    """MLflow in a folder, at an address, or where it logs by itself.

    Raises:
        UsageError: If MLflow is not installed, or does not open the place.
    """
    try:
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise UsageError(
            "'quantlab export mlflow' needs MLflow, which is not installed; install it with 'pip install mlflow'"
        ) from error
    with _answered("its own place" if tracking is None else f"'{tracking}'"):
        place = _place(tracking)
        client = MlflowClient(tracking_uri=place.address)
        known = client.get_experiment_by_name(experiment)
        if known is None:
            found = client.create_experiment(experiment, artifact_location=place.artifacts)
        else:
            found = known.experiment_id
    return _Mlflow(client, found, tracking or client.tracking_uri)


@contextmanager
def _answered(place: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a sentence: it is a program of others, with exceptions of its own."""
    try:
        yield
    except Exception as error:
        reason = excerpt(" ".join(str(error).split()), most=200)
        raise UsageError(f"MLflow cannot log to {place} ({reason}); name another place with --tracking") from error


@dataclass(frozen=True, slots=True)
class _Place:
    """Where MLflow keeps runs, and files of new experiments; None leaves the choice to MLflow."""

    address: str | None
    artifacts: str | None = None


def _place(tracking: str | None) -> _Place:
    """A folder becomes a database with the files beside it: MLflow no longer keeps runs in plain folders."""
    if tracking is None or "://" in tracking:
        return _Place(tracking)
    folder = Path(tracking).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return _Place(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


class _Mlflow:
    """Runs of one experiment, by MLflow's client: the run that a program has begun is left alone."""

    def __init__(self, client: Any, experiment: str, address: str) -> None:
        self._client = client
        self._experiment = experiment
        self.address = address

    def start(self, name: str, parent: str | None) -> str:
        tags = {} if parent is None else {"mlflow.parentRunId": parent}
        with _answered(f"'{self.address}'"):
            return str(self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id)

    def log(self, run: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        with _answered(f"'{self.address}'"):
            now = self._client.get_run(run).info.start_time
            self._client.log_batch(
                run,
                metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
                params=[Param(name, value) for name, value in params.items()],
                tags=[RunTag(name, value) for name, value in tags.items()],
            )

    def add(self, run: str, path: Path, folder: str) -> None:
        log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        with _answered(f"'{self.address}'"):
            log(run, str(path), folder or None)

    def end(self, run: str, *, failed: bool) -> None:
        with _answered(f"'{self.address}'"):
            self._client.set_terminated(run, "FAILED" if failed else "FINISHED")


@contextmanager
def _run(tracker: Tracker, name: str, parent: str | None, *, failed: bool = False) -> Iterator[str]:
    """A run that ends as failed if anything goes wrong inside."""
    run = tracker.start(name, parent)
    try:
        yield run
    except BaseException:
        tracker.end(run, failed=True)
        raise
    tracker.end(run, failed=failed)


def _facts(subject: Subject) -> dict[str, str]:
    study = subject.study
    facts = {
        "model": study.model.path,
        "model_sha256": study.model.sha256,
        "samples": study.samples.source,
        "samples_sha256": study.samples.sha256,
        "n": study.samples.n,
        "seed": study.seed,
        "task": study.task,
        "scored_output": study.scored_output,
        "quantlab": study.versions.get("quantlab", ""),
    }
    return {name: _short(value) for name, value in facts.items()}


def _verdict(subject: Subject) -> dict[str, str]:
    """The verdict as tags; none if nothing was judged."""
    chosen = subject.recommendation
    if chosen is None:
        return {}
    return {"quantlab.outcome": chosen.verdict.outcome, "quantlab.recommended": chosen.setting or ""}


def _add_records(tracker: Tracker, run: str, subject: Subject) -> None:
    """Add the report, the table and the record of the study."""
    with tempfile.TemporaryDirectory() as folder:
        page, table = Path(folder, "report.html"), Path(folder, "table.csv")
        page.write_text(report_page(subject), "utf-8")
        table.write_text(comma_separated.render(trial_table(subject.study, wide=False)) + "\n", "utf-8")
        for file in (page, table, subject.store.root / "study.json"):
            tracker.add(run, file, "")


def _files_of(subject: Subject) -> dict[str, list[Path]]:
    """Setting → what must be served.

    Raises:
        StudyError: If an artifact is gone.
    """
    formats = subject.formats
    found: dict[str, list[Path]] = {}
    for trial in subject.study.trials:
        variant = trial.variant
        if variant is None or trial.setting in found:
            continue
        if not variant.path.exists():
            raise StudyError(
                f"'{variant.path}', the artifact of '{trial.setting}', is gone; run 'quantlab analyze' again"
            )
        known = variant.format in formats and not variant.path.is_dir()
        found[trial.setting] = formats[variant.format].files(variant.path) if known else [variant.path]
    return found


def _params(trial: Trial, record: Mapping[str, Any]) -> dict[str, str]:
    named = ("setting", "runtime", "ran_on", "status", "sha256", "minimum_runtime")
    told = {name: _short(record[name]) for name in named if record.get(name) is not None}
    return told if trial.variant is None else {**told, "format": trial.variant.format}


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a row; JSON has a text for those that are not finite."""
    return {name: float(value) for name, value in record.items() if _is_figure(value)}


def _is_figure(value: Any) -> bool:
    if isinstance(value, str):
        return value in {"NaN", "Infinity", "-Infinity"}
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reason(trial: Trial) -> dict[str, str]:
    return {} if trial.failure is None else {"quantlab.reason": _short(trial.failure.reason)}


def _short(value: object) -> str:
    return excerpt(str(value), most=_LONGEST - 1)


EXPORT = Export(frozenset({"tracking", "thumbnails"}), judges=True, write=export_mlflow)

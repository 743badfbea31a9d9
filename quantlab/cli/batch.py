"""`quantlab batch`: many models, each with its own study, and one table."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, Format, Store, rendering_of
from quantlab.cli.output import print_result, say
from quantlab.cli.shard_options import ShardGroup
from quantlab.cli.spread import spread
from quantlab.errors import UsageError

if TYPE_CHECKING:
    from quantlab.progress import BatchForecast, Progress
    from quantlab.study.batch import BatchModel, Watch
    from quantlab.types.batch import BatchResult
    from quantlab_reports.batch import BatchEntry

__all__ = ["batch"]


@spread
def batch(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="TOML file with a [[model]] table for each model. [default: quantlab.toml in the current folder]",
            show_default=False,
        ),
    ] = None,
    *,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Analyze N models at the same time. A study keeps two processor cores and some gigabytes of memory "
            "busy, so use 1 for each two cores. With more than 1, no load times, run times and memory are measured, "
            "because other studies would disturb them. [default: 1; if all models are run in shards, the number of "
            "workers, up to 4]",
            show_default=False,
        ),
    ] = None,
    cut: ShardGroup,
    store: Store = None,
    changed_since: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION",
            help="Analyze only models of which a file, or a file of their samples, differs from this git revision.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Folder for a report of each study, and index.html with links to them.")
    ] = None,
    format: Format = "terminal",  # noqa: A002 (the option's name)
    json: AsJson = False,
) -> int:
    """Analyze many models and print one table.

    Keys of a [[model]] table are the options of 'quantlab analyze', with underscores, and 'name'. A model whose study
    is complete and whose files, options and packages have not changed is not analyzed again. A model that fails costs
    its own row, and the exit status is 2. With a [budget] or [model.budget] table, each row has the setting that fits.
    """
    from quantlab.cli.model_tables import models_of
    from quantlab.study.batch import run_batch, usual_jobs
    from quantlab_reports.batch import batch_entries, batch_table

    render = rendering_of(format, as_json=json)  # check names first, because this takes no time
    given = {**cut.keys, "store": store}
    models = models_of(file, {key: value for key, value in given.items() if value is not None})
    jobs = jobs or usual_jobs(models)
    chosen = None if changed_since is None else _changed(models, changed_since, file)
    if html is not None:
        _prepare_folder(html, models)
    with _told(len(models), jobs) as watch:
        results = run_batch(models, watch, jobs=jobs, chosen=chosen)
    entries = batch_entries(results, {model.name: model.budget for model in models})
    print_result(render(batch_table(entries)))
    written = html is None or _write_pages(html, entries)
    return OK if written and all(_complete(entry) for entry in entries) else COULD_NOT_RUN


def _complete(entry: "BatchEntry") -> bool:
    """Whether nothing failed: neither the model, nor a row of its study, nor its verdict."""
    judged = entry.budget is None or entry.subject is None or entry.row.outcome is not None
    return entry.row.state != "failed" and judged and (entry.subject is None or entry.subject.study.complete)


def _changed(models: Sequence["BatchModel"], revision: str, file: Path | None) -> set[str]:
    """Names of the models with a file that differs from a revision; says which files git does not know."""
    from quantlab.cli.git import changes_since

    changes = changes_since(revision)
    if changes.touch([file or Path("quantlab.toml")]):
        say("warning: the [[model]] tables themselves changed since the revision, and only files of models count")
    for model in models:
        for path in changes.unseen(model.files):
            say(f"warning: {model.name}: git does not track '{path}', so a change of it is not seen")
    # What is missing has changed, too: its row then says what to do.
    return {model.name for model in models if model.gone or changes.touch(model.files)}


def _prepare_folder(folder: Path, models: Sequence["BatchModel"]) -> None:
    """Make the folder of the reports; refuses, before long work, one in which a page would replace another file."""
    from quantlab_reports.page import refuse_other_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the reports cannot be written to '{folder}' ({error.strerror}); name another folder with --html"
        ) from error
    for name in (*(model.name for model in models), _OVERVIEW):
        refuse_other_file(folder / f"{name}.html", option="--html", named="folder")


_OVERVIEW = "index"
"""Name of the page with links to the others."""


def _write_pages(folder: Path, entries: Sequence["BatchEntry"]) -> bool:
    """Write the report of each study, then the overview; returns whether all could be written."""
    from quantlab_reports.batch import batch_table
    from quantlab_reports.page import overview_page, report_page

    links, written = [], []
    for entry in entries:
        name = "" if entry.subject is None else f"{entry.row.name}.html"
        if entry.subject is not None:
            written.append(_written(report_page(entry.subject), folder / name))
        links.append(name)
    overview = folder / f"{_OVERVIEW}.html"
    rows = [entry.row for entry in entries]
    written.append(_written(overview_page(batch_table(entries), rows, links), overview))
    if all(written):
        say(f"Reports written to '{overview}'")
    return all(written)


def _written(page: str, path: Path) -> bool:
    """Write a page; says why if that is impossible."""
    from quantlab_reports.page import write_page

    try:
        write_page(page, path, option="--html", named="folder")
    except UsageError as error:
        say(f"quantlab: {error}")
        return False
    return True


@contextmanager
def _told(models: int, jobs: int) -> "Iterator[Watch]":
    """Tell what happens to each model, and its steps: of one study after another, or of all together."""
    if jobs == 1:
        yield _OneByOne(models)
        return
    from quantlab.cli.progress import shown
    from quantlab.progress import BatchForecast

    forecast = BatchForecast(models)
    with shown(forecast) as progress:
        yield _SideBySide(models, progress, forecast)


class _OneByOne:
    """Prints a line when a model begins and ends, and shows the steps of its study."""

    def __init__(self, models: int) -> None:
        self._models, self._ended = models, 0

    def progress(self, model: "BatchModel") -> "AbstractContextManager[Progress]":
        from quantlab.cli.progress import shown

        say(f"{model.name}: analyzing '{model.model}'")
        return shown()

    def ended(self, result: "BatchResult") -> None:
        self._ended += 1
        outcome = f"failed: {result.reason}" if result.state == "failed" else result.state
        took = f" in {result.seconds:.0f} s" if result.state == "measured" else ""
        say(f"[{self._ended}/{self._models}] {result.name}: {outcome}{took}")


class _SideBySide(_OneByOne):
    """The same for studies at the same time: steps have the name of their model, and the time left is that of all."""

    def __init__(self, models: int, shown: "Progress", forecast: "BatchForecast") -> None:
        super().__init__(models)
        self._shown, self._forecast = shown, forecast
        self._lock = threading.Lock()

    def progress(self, model: "BatchModel") -> "AbstractContextManager[Progress]":
        from quantlab.progress import OfModel

        say(f"{model.name}: analyzing '{model.model}'")
        with self._lock:
            self._forecast.begin(model.name)
        return nullcontext(OfModel(model.name, self._shown))

    def ended(self, result: "BatchResult") -> None:
        with self._lock:
            self._forecast.end(result.name)
            super().ended(result)

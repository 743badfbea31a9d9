"""What programs and notebooks call: a view as a data frame, and the report."""

from pathlib import Path
from typing import Any

from quantlab.errors import StudyError, UsageError
from quantlab.store import Store
from quantlab.types import Budget, Study
from quantlab_reports.model import Selection, Table
from quantlab_reports.page import report_page, write_page
from quantlab_reports.showing import Reports
from quantlab_reports.subject import Subject
from quantlab_reports.views.trials import trial_table

__all__ = ["report", "to_dataframe"]


def to_dataframe(study: Study | str | Path, view: str = "table") -> Any:
    """Return a view of a study as a `pandas.DataFrame`: the rows and columns that `quantlab show VIEW --json` prints.

    Strings that JSON has for NaN and infinite figures become floats. A value that is null in JSON is missing.

    >>> import quantlab
    >>> layers = quantlab.to_dataframe("model.study", "layers")  # doctest: +SKIP
    >>> layers.nsmallest(5, "isolated_sqnr_db")[["setting", "layer"]]  # doctest: +SKIP

    Args:
        study: A study or its folder. Of a study, other views than `table` are read from the folder that it was read
            from or written to.
        view: Name of a view of `quantlab show`.

    Raises:
        UsageError: If pandas is not installed, or there is no such view.
        StudyError: If the study cannot be read, or has nothing for the view.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise UsageError(
            "to_dataframe returns a table of pandas, which is not installed; install it with 'pip install pandas'"
        ) from error
    table = _table(study, view)
    columns = {key: _floats([record[key] for record in table.records]) for key in table.keys}
    return pd.DataFrame(columns, columns=list(table.keys))


def report(study: Study | str | Path, *, out: str | Path = "report.html", budget: Budget | None = None) -> Path:
    """Write a report about a study as one HTML file, as `quantlab report` does; nothing is run.

    Args:
        study: A study or its folder.
        out: The file to write; an older report is replaced.
        budget: What the report judges by; without one, it shows what was measured and recommends nothing.

    Returns:
        The file.

    Raises:
        UsageError: If the file cannot be written or is something else than a report, or a limit cannot be judged.
        StudyError: If the study is missing or damaged.
    """
    file = Path(out)
    write_page(report_page(Subject.of(_store(study), budget)), file)
    return file


def _table(study: Study | str | Path, view: str) -> Table:
    reports = Reports()
    made = reports.view(view)
    if isinstance(study, Study) and view == next(iter(reports.views)):
        return trial_table(study, wide=False)
    return made.table(_store(study), Selection(), reports.formats)


def _store(study: Study | str | Path) -> Store:
    """The folder of a study.

    Raises:
        StudyError: If it is no longer there, or another study was written to it.
    """
    if not isinstance(study, Study):
        return Store(Path(study))
    # A folder of samples lies in the study: `STUDY/samples/data/<hash>`.
    for folder in study.samples.folder.absolute().parents:
        if (folder / "study.json").is_file():
            store = Store(folder)
            if _identity(store.read_study()) == _identity(study):
                return store
            raise StudyError(f"'{folder}' holds another study by now; give the folder instead of the study")
    raise StudyError(
        f"the folder of this study, which held '{study.samples.folder}', is gone; give the folder where it is now"
    )


def _identity(study: Study) -> tuple[str, ...]:
    return study.created, study.model.sha256, study.samples.sha256


_NOT_FINITE = {"NaN", "Infinity", "-Infinity"}


def _floats(values: list[Any]) -> list[Any]:
    """Values of a column; of a column of figures, the strings that JSON has for those that are not finite as floats."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) and value not in _NOT_FINITE for value in known):
        return values
    if not all(isinstance(value, int | float | str) and not isinstance(value, bool) for value in known):
        return values
    return [float(value) if isinstance(value, str) else value for value in values]

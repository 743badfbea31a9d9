"""The views and renderings that show a study: the built-in ones, or those of a caller."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from quantlab.errors import UsageError
from quantlab.formats import FORMATS, Format
from quantlab.names import joined, nearest
from quantlab.store import Store
from quantlab.types import Trial
from quantlab_reports.columns import with_columns
from quantlab_reports.model import Selection, Table
from quantlab_reports.renderings.registry import RENDERINGS
from quantlab_reports.views.registry import VIEWS, View

__all__ = ["Reports"]


@dataclass(frozen=True, slots=True)
class Reports:
    """Views, renderings and formats by name, in the order of their registries."""

    views: Mapping[str, View] = field(default_factory=lambda: VIEWS)
    renderings: Mapping[str, Callable[[Table], str]] = field(default_factory=lambda: RENDERINGS)
    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    """The formats that variants of a study may have."""

    def show(self, store: Store, view: str, rendering: str, selection: Selection) -> str:
        """Return a view of a study as text, without a final newline.

        Raises:
            UsageError: If the view or rendering is unknown, or the selection is invalid.
            StudyError: If the study cannot be read.
        """
        return self.rendering(rendering)(self.table(store, view, selection))

    def table(self, store: Store, view: str, selection: Selection) -> Table:
        """Return a view of a study as a table; raises like `show`, and if the view ignores a part of the selection."""
        self._refuse_unused(view, selection)
        if selection.setting is None:
            return self._with_columns(store, view, selection)
        trials = store.read_study().trials
        known = replace(selection, settings=tuple(dict.fromkeys(trial.setting for trial in trials)))
        table = self._with_columns(store, view, known)
        if not table.records:
            table = replace(table, below=(*_why_empty(selection.setting, trials), *table.below))
        return table

    def _refuse_unused(self, view: str, selection: Selection) -> None:
        """Refuse options of other views, which would be ignored."""
        whole = self.view(view).whole
        rows = {name: getattr(selection, name) for name in ("setting", "runtime", "sort", "top")}
        unused = [name for name, value in rows.items() if value is not None] if whole else []
        unused += ["wide"] if selection.wide and not whole else []
        if not unused:
            return
        options = joined([f"--{name}" for name in unused])
        are, them = ("is", "it") if len(unused) == 1 else ("are", "them")
        others = [name for name, one in self.views.items() if one.whole != whole]
        takes = f"the view {others[0]}" if len(others) == 1 else "other views"
        raise UsageError(f"{options} {are} for {takes}, and the view is {view}; leave {them} out")

    def _with_columns(self, store: Store, view: str, selection: Selection) -> Table:
        """The table with the columns that are asked for, if any; a column of the wide table makes it wide."""
        make = self.view(view).table
        table = make(store, selection, self.formats)
        if selection.columns is None:
            return table
        try:
            return with_columns(table, selection.columns)
        except UsageError:
            if selection.wide:
                raise
            return with_columns(make(store, replace(selection, wide=True), self.formats), selection.columns)

    def view(self, name: str) -> View:
        """Return a view by name.

        Raises:
            UsageError: If the name is unknown.
        """
        if name not in self.views:
            raise UsageError(f"there is no view '{name}'; {nearest(name, self.views)}")
        return self.views[name]

    def rendering(self, name: str) -> Callable[[Table], str]:
        """Return a rendering by name.

        Raises:
            UsageError: If the name is unknown.
        """
        if name not in self.renderings:
            raise UsageError(f"there is no format '{name}'; {nearest(name, self.renderings)}")
        return self.renderings[name]


def _why_empty(setting: str, trials: Sequence[Trial]) -> list[str]:
    """Lines that say that a view has no rows for a setting, and why its trials failed, if they did."""
    failed = [trial for trial in trials if fnmatchcase(trial.setting, setting) and trial.failure is not None]
    reasons = [
        f"{trial.setting} in {trial.runtime} failed: {trial.failure.reason}" for trial in failed if trial.failure
    ]
    return [f"No rows for {setting}", *reasons]

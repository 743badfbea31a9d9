"""What a study is shown with: the views and renderings there are, or those that a caller hands in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quantlab.errors import UsageError
from quantlab.formats import FORMATS, Format
from quantlab.names import nearest
from quantlab.store import Store
from quantlab_reports.model import Selection, Table
from quantlab_reports.renderings.registry import RENDERINGS
from quantlab_reports.views.registry import VIEWS, View

__all__ = ["Reports"]


@dataclass(frozen=True, slots=True)
class Reports:
    """Members by name, each family in the order of its registry."""

    views: Mapping[str, View] = field(default_factory=lambda: VIEWS)
    renderings: Mapping[str, Callable[[Table], str]] = field(default_factory=lambda: RENDERINGS)
    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    """Those that variants of a study may be of."""

    def show(self, store: Store, view: str, rendering: str, selection: Selection) -> str:
        """A view of a study as text, without a newline at its end.

        Raises:
            UsageError: If there is no view or rendering of that name, or as `RowView`.
            StudyError: As `Store`.
        """
        render = self.rendering(rendering)
        return render(self.view(view).table(store, selection, self.formats))

    def view(self, name: str) -> View:
        """The view of a name.

        Raises:
            UsageError: If there is none.
        """
        if name not in self.views:
            raise UsageError(f"there is no view '{name}'; {nearest(name, self.views)}")
        return self.views[name]

    def rendering(self, name: str) -> Callable[[Table], str]:
        """The rendering of a name.

        Raises:
            UsageError: If there is none.
        """
        if name not in self.renderings:
            raise UsageError(f"there is no format '{name}'; {nearest(name, self.renderings)}")
        return self.renderings[name]

"""Shows the results of a study: views turn them into tables, renderings turn tables into text (`model.py`)."""

from quantlab_reports.model import Selection, Table
from quantlab_reports.renderings.registry import RENDERINGS
from quantlab_reports.showing import Reports
from quantlab_reports.views.registry import VIEWS
from quantlab_reports.views.trials import trial_table

__all__ = ["RENDERINGS", "VIEWS", "Reports", "Selection", "Table", "trial_table"]

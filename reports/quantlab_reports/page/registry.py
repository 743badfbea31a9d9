"""All sections, in the order of the page. A new section is a file, a template and a line here."""

from collections.abc import Mapping

from quantlab_reports.page.contract import Section
from quantlab_reports.page.sections.again import again_section
from quantlab_reports.page.sections.changes import changes_section
from quantlab_reports.page.sections.costs import costs_section
from quantlab_reports.page.sections.layers import layers_section
from quantlab_reports.page.sections.measured import measured_section
from quantlab_reports.page.sections.runtimes import runtimes_section
from quantlab_reports.page.sections.split import split_section
from quantlab_reports.page.sections.trials import trials_section

__all__ = ["SECTIONS"]

SECTIONS: Mapping[str, Section] = {
    "table": Section("The table", "Table", trials_section),
    "layers": Section("Where the error is born", "Layers", layers_section),
    "changes": Section("What changed", "What changed", changes_section),
    "runtimes": Section("Runtimes", "Runtimes", runtimes_section),
    "cost": Section("Cost", "Cost", costs_section),
    "split": Section("Whose fault", "Whose fault", split_section),
    "again": Section("How to make it again", "Make it again", again_section),
    "measured": Section("How this was measured", "How measured", measured_section),
}
"""All sections by the name of their place in the page."""

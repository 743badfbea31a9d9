"""All sections, in the order of the page. A new section is a file, a template and a line here."""

from collections.abc import Mapping

from quantlab_reports.page.contract import Section
from quantlab_reports.page.sections.trials import trials_section

__all__ = ["SECTIONS"]

SECTIONS: Mapping[str, Section] = {
    "table": Section("The table", "Table", trials_section),
}
"""All sections by the name of their place in the page."""

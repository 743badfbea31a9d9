"""The report: one HTML file that needs no network, and an overview of several."""

from quantlab_reports.page.document import overview_page, refuse_other_file, report_page, write_page
from quantlab_reports.page.registry import SECTIONS

__all__ = ["SECTIONS", "overview_page", "refuse_other_file", "report_page", "write_page"]

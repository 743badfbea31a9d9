"""The report: one HTML file that needs no network."""

from quantlab_reports.page.document import report_page, write_page
from quantlab_reports.page.registry import SECTIONS

__all__ = ["SECTIONS", "report_page", "write_page"]

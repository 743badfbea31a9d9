"""Golden tests: a few sensitive samples with the outputs of an artifact, for the test suite of an application."""

from quantlab_reports.exports.golden.write import EXPORT, FORMAT, export_golden

__all__ = ["EXPORT", "FORMAT", "export_golden"]

"""Studies for other programs: files and records in their own form."""

from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.exports.registry import EXPORTS

__all__ = ["EXPORTS", "Asked", "Export", "Written"]

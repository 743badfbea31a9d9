"""Writes the code of a pipeline in another language, with vectors to test it: one file for each language."""

from quantlab.preprocessing.exporters.contract import Exporter
from quantlab.preprocessing.exporters.registry import EXPORTERS
from quantlab.preprocessing.exporters.write import Exported, write_export

__all__ = ["EXPORTERS", "Exported", "Exporter", "write_export"]

"""Formats of records: files that hold many samples. A format is one file here and one line in `registry.py`."""

from quantlab.samples.records.contract import Record, RecordFormat, lookup, refuse_absent
from quantlab.samples.records.registry import RECORD_FORMATS

__all__ = ["RECORD_FORMATS", "Record", "RecordFormat", "lookup", "refuse_absent"]

"""The formats of records, in the order in which messages list them."""

from collections.abc import Mapping

from quantlab.samples.records.comma_separated import CSV, TSV
from quantlab.samples.records.contract import RecordFormat
from quantlab.samples.records.json_lines import JSON_LINES
from quantlab.samples.records.parquet import PARQUET
from quantlab.samples.records.tfrecord import TFRECORD
from quantlab.samples.records.webdataset import WEBDATASET

__all__ = ["RECORD_FORMATS"]

RECORD_FORMATS: Mapping[str, RecordFormat] = {
    one.name: one for one in (CSV, TSV, JSON_LINES, TFRECORD, PARQUET, WEBDATASET)
}
"""Name → format."""

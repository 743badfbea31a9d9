"""Renders a table as comma-separated values, for spreadsheets and pandas; nested values are JSON in a cell."""

import csv
import io
import json
from typing import Any

from quantlab_reports.model import Table

__all__ = ["render"]


def render(table: Table) -> str:
    """Return all rows with a header of keys; missing values are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, table.keys, lineterminator="\n")
    writer.writeheader()
    for record in table.records:
        writer.writerow({key: _cell(value) for key, value in record.items()})
    return text.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value

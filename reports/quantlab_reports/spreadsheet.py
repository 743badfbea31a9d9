"""The rows as comma-separated values, for spreadsheets and pandas; nested values as JSON in their cell."""

import csv
import io
import json
from typing import Any

from quantlab.types import Study
from quantlab_reports.document import KEYS, rows

__all__ = ["render"]


def render(study: Study, *, wide: bool) -> str:
    """All rows under their keys; it has everything, wide or not. What does not apply is empty."""
    del wide
    text = io.StringIO()
    writer = csv.DictWriter(text, KEYS, lineterminator="\n")
    writer.writeheader()
    for row in rows(study):
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value

"""Renders a table as a JSON list of objects."""

import json

from quantlab_reports.model import Table

__all__ = ["render"]


def render(table: Table) -> str:
    """Return all rows; each row has all keys."""
    return json.dumps(list(table.records), indent=1, ensure_ascii=False, allow_nan=False)

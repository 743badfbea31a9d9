"""Rows from outputs that another program wrote: an app, a device or a server."""

from quantlab.study.importing.outputs import ImportOptions, import_outputs, remove_import
from quantlab.study.importing.rows import imported_layers, imported_rows, read_imports, with_imported

__all__ = [
    "ImportOptions",
    "import_outputs",
    "imported_layers",
    "imported_rows",
    "read_imports",
    "remove_import",
    "with_imported",
]

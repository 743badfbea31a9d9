"""How values are shown in a notebook."""

import pkgutil

__all__ = ["InNotebooks"]

_SHOWN_BY = "quantlab_reports.notebooks:html_of"
"""The function that makes the HTML. It is found by name when a notebook asks: this layer imports no other."""


class InNotebooks:
    """A value that a notebook shows as a table, with the figures that the command line prints."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Return the HTML for IPython, which asks for a method of this name."""
        return str(pkgutil.resolve_name(_SHOWN_BY)(self))

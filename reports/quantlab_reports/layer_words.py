"""Words about layers that several parts of a report need."""

from quantlab.types import Source
from quantlab_reports.figures import fixed

__all__ = ["short_layer", "source_in_words"]


def short_layer(name: str) -> str:
    """Shorten the name that a converter made for several layers that it merged, joined by semicolons.

    >>> short_layer("conv;relu;add"), short_layer("conv")
    ('conv (and 2 more)', 'conv')
    """
    first, *others = name.split(";")
    return f"{first} (and {len(others)} more)" if others else first


def source_in_words(source: Source) -> str:
    """The op that causes most of an error, by its own error in Python, as a clause."""
    channel = "" if source.channel is None else f" in channel {source.channel}"
    return f"{short_layer(source.layer)} ({source.op}), isolated SQNR {fixed(source.sqnr_db, 1)} dB{channel}"

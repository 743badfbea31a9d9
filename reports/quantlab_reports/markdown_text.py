"""Tables and text for a comment on GitHub."""

import re

from quantlab_reports.model import Table

__all__ = ["as_text", "comment_table", "unbroken"]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Characters that change the direction of text, have no width, or are halves of surrogate pairs."""


def comment_table(table: Table) -> str:
    """Render a table whose cells are Markdown already; empty if it has no rows."""
    if not table.cells:
        return ""
    lines = [
        map(unbroken, table.headings),
        ("---:" if numeric else "---" for numeric in table.numeric),
        *(
            [unbroken(cell) if numeric else cell for cell, numeric in zip(row, table.numeric, strict=True)]
            for row in table.cells
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def unbroken(cell: str) -> str:
    """Use no-break spaces, so that a figure stays with its unit and interval."""
    return cell.replace(" ", "\u00a0")


def as_text(text: str) -> str:
    r"""Escape names and reasons, so that they are text on one line and not markup.

    A zero-width space stops GitHub from linking `@name` and `#12`, which it does after reading the Markdown.

    >>> as_text("a|b <b> *c*")
    'a&#124;b &lt;b&gt; \\*c\\*'
    """
    text = _INVISIBLE.sub("\ufffd", " ".join(_CONTROL.sub(" ", text).split()))
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    text = re.sub(r"([\\`*_\[\]~$])", r"\\\1", text)
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", text).replace("|", "&#124;")

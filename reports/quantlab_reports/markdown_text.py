"""Tables and texts for a comment on GitHub."""

import re

from quantlab_reports.model import Table

__all__ = ["as_text", "comment_table", "unbroken"]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What turns the direction of text, has no width, or is half of a pair and cannot be written."""


def comment_table(table: Table) -> str:
    """A table of GitHub's whose cells are Markdown already; nothing where it has no rows."""
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
    """With spaces at which no line is broken: a figure stays beside its unit, and its interval whole."""
    return cell.replace(" ", "\u00a0")


def as_text(text: str) -> str:
    r"""Names and reasons are text, not markup, and stay on their line.

    A zero-width space parts what GitHub would link or notify after the Markdown is read: `@name` and `#12`.

    >>> as_text("a|b <b> *c*")
    'a&#124;b &lt;b&gt; \\*c\\*'
    """
    text = _INVISIBLE.sub("\ufffd", " ".join(_CONTROL.sub(" ", text).split()))
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, entity)
    text = re.sub(r"([\\`*_\[\]~$])", r"\\\1", text)
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", text).replace("|", "&#124;")

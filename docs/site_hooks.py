"""Hooks of MkDocs for `make site`: option names are kept on one line, and nothing is loaded from other hosts."""

import re
from pathlib import Path
from typing import Any

__all__ = ["on_page_content", "on_post_build"]

_LOADS = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//""")


_INLINE_CODE = re.compile(r"(<pre.*?</pre>)|<code>([^<]*)</code>", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Mark option names in inline code, so that the style sheet can keep them from breaking after their dashes."""
    return _INLINE_CODE.sub(lambda match: match[1] or f"<code>{_with_options(match[2])}</code>", html)


def _with_options(code: str) -> str:
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r'<span class="option">\1</span>', code)


def on_post_build(config: Any, **_: Any) -> None:
    """Fail the build if a page loads a script, a style, a font or an image from another host.

    Raises:
        RuntimeError: If a page does; it names the pages.
    """
    site = Path(config["site_dir"])
    pages = [path for path in site.rglob("*.html") if _LOADS.search(path.read_text(encoding="utf-8"))]
    if pages:
        names = ", ".join(path.relative_to(site).as_posix() for path in sorted(pages))
        raise RuntimeError(f"these pages load something from another host: {names}")

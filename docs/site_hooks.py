"""Hooks of MkDocs for `make site`.

The READMEs of the packages become pages. Option names stay on one line. Nothing is loaded from other hosts. The page of
`quantlab page` is part of the site, if the JavaScript is bundled in this checkout.
"""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.structure.files import File

__all__ = ["on_config", "on_files", "on_page_content", "on_page_markdown", "on_post_build"]

_ROOT = Path(__file__).resolve().parents[1]

_PACKAGES = sorted(
    path.relative_to(_ROOT).as_posix()
    for pattern in ("quantlab/*/README.md", "converters/*/README.md", "reports/*/README.md")
    for path in _ROOT.glob(pattern)
)
"""The READMEs of the packages."""


_TAB, _TAB_GUIDE = "tab", "guides/tab.md"
"""Folder of the page that runs in a tab, and the guide that links to it."""


def _tab() -> ModuleType:
    """The module that writes the page; it needs none of quantlab's dependencies."""
    if str(_ROOT) not in sys.path:
        sys.path.insert(0, str(_ROOT))
    from quantlab import tab

    return tab


def _page_of(readme: str) -> str:
    return f"packages/{Path(readme).parent.name}.md"


def on_config(config: Any) -> Any:
    """Add the packages to the end of the navigation."""
    config["nav"].append({"Packages": [_page_of(readme) for readme in _PACKAGES]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make a page of each package's README."""
    for readme in _PACKAGES:
        files.append(File.generated(config, _page_of(readme), abs_src_path=str(_ROOT / readme)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to the packages' READMEs lead to their pages; this Markdown nests lists by four spaces."""
    markdown = re.sub(r"^ {3}- ", "    - ", markdown, flags=re.MULTILINE)
    above = "../" * page.file.src_uri.count("/")
    for readme in _PACKAGES:
        markdown = markdown.replace(f"]({above}../{readme}", f"]({above}{_page_of(readme)}")
    if page.file.src_uri == _TAB_GUIDE and _tab().is_bundled():
        link = f'<a href="{above}{_TAB}/index.html">Open the page of this version</a>'
        markdown = markdown.replace("\n```sh", f"\n{link}, or write it:\n\n```sh", 1)
    return markdown


_LOADS = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
)


_INLINE_CODE = re.compile(r"(<pre.*?</pre>)|<code>([^<]*)</code>", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Mark option names in inline code, so that the style sheet can keep them from breaking after their dashes."""
    return _INLINE_CODE.sub(lambda match: match[1] or f"<code>{_with_options(match[2])}</code>", html)


def _with_options(code: str) -> str:
    plain = code.replace("\\|", "|")  # in a table a bar is escaped, and this Markdown keeps the backslash in code
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r'<span class="option">\1</span>', plain)


def on_post_build(config: Any, **_: Any) -> None:
    """Add the page that runs in a tab. Fail if a page loads a script, a style, a font or an image from another host.

    Raises:
        RuntimeError: If a page does; it names the pages.
    """
    site = Path(config["site_dir"])
    if _tab().is_bundled():
        _tab().write_page(site / _TAB)
    pages = [path for path in site.rglob("*.html") if _LOADS.search(path.read_text(encoding="utf-8"))]
    if pages:
        names = ", ".join(path.relative_to(site).as_posix() for path in sorted(pages))
        raise RuntimeError(f"these pages load something from another host: {names}")

"""Hooks of MkDocs for `make site`.

The READMEs of the packages become pages. Option names stay on one line. Nothing is loaded from other hosts.
"""

import re
from pathlib import Path
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
    """Fail the build if a page loads a script, a style, a font or an image from another host.

    Raises:
        RuntimeError: If a page does; it names the pages.
    """
    site = Path(config["site_dir"])
    pages = [path for path in site.rglob("*.html") if _LOADS.search(path.read_text(encoding="utf-8"))]
    if pages:
        names = ", ".join(path.relative_to(site).as_posix() for path in sorted(pages))
        raise RuntimeError(f"these pages load something from another host: {names}")

"""Runs the commands of the tutorial, and the notebook, and writes what they print into their pages.

`python docs/shown_output.py` takes two minutes. Run it after a change to printed tables or messages;
`tests/test_docs_commands.py` and `tests/test_docs_notebook.py` fail until then.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from commands import run_blocks
from notebooks import NOTEBOOK, cells_of, executed, notebook_page

HERE = Path(__file__).parent

PAGES = ("tutorial.md",)
"""The pages that show output. Their commands need no file that the page does not make."""


def with_output(page: str, folder: Path) -> str:
    """The page with the output of its commands, which are run in an empty folder."""

    def run(arguments: Sequence[str]) -> tuple[int, str]:
        words = [sys.executable, "-m", "quantlab", *arguments]
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout

    for printed in reversed(list(run_blocks(page, folder, run))):
        begin, end = printed.block.span
        page = page[:begin] + printed.text + page[end:]
    return page


def main() -> int:
    """Write the pages anew; the exit status."""
    for name in PAGES:
        path = HERE / name
        with tempfile.TemporaryDirectory() as folder:
            path.write_text(with_output(path.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")
        print(f"wrote docs/{name}")
    with tempfile.TemporaryDirectory() as folder:
        page = notebook_page(list(executed(cells_of(NOTEBOOK), Path(folder))))
    NOTEBOOK.with_suffix(".md").write_text(page, encoding="utf-8")
    print(f"wrote docs/guides/{NOTEBOOK.stem}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the commands of the tutorial and writes what they print into the page: `python docs/shown_output.py`.

It takes a minute. Run it after a change to printed tables or messages; `tests/test_docs_commands.py` fails until then.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from commands import run_blocks

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
    return 0


if __name__ == "__main__":
    sys.exit(main())

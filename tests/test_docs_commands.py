"""The commands of the documentation, run on small files; and the output that the tutorial shows."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from command_line import quantlab_in_process
from contracts import refuse_absent
from docs_folder import make_docs_folder
from kept import QUANTLAB, kept
from study_fixtures import ALONE

from quantlab.runtimes import RUNTIMES

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT / "docs") not in sys.path:
    sys.path.append(str(ROOT / "docs"))

from commands import CommandFailed, Printed, blocks_of, run_blocks, stable  # noqa: E402 (it lies beside the pages)

DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if any(block.commands for block in blocks_of(path.read_text(encoding="utf-8")))
)
WITH_OUTPUT = ("tutorial.md",)
FEW = ("--settings", "tfjs-uint8,tflite-dynamic")
"""In place of the default settings, where a page does not show what comes of them."""


def narrowed(words: Sequence[str]) -> list[str]:
    """An `analyze` that asks for no settings gets two, and looks inside only if the command is about that.

    A server's runtime chooses its own setting.
    """
    if words[0] != "analyze":
        return list(words)
    chosen = "--settings" in words or words[1].endswith((".onnx", ".tflite")) or "serving-signature" in words
    more = [*([] if chosen else FEW)]
    return [*words, *more, *([] if "--taps" in words else ALONE)]


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def docs_folder(request: pytest.FixtureRequest) -> Path:
    """A folder with every file that a guide names, to be copied."""
    sources = ("docs_folder.py", "small_digits.py", "study_fixtures.py", "onnx_models.py", *QUANTLAB)
    return kept(request, "docs", sources, make_docs_folder)


@pytest.mark.starts_children
@pytest.mark.parametrize("page", [page for page in PAGES if page not in WITH_OUTPUT])
def test_commands_run(page: str, docs_folder: Path, tmp_path: Path) -> None:
    if page == "guides/browsers.md":
        refuse_absent(RUNTIMES["chromium-wasm"])
    place = shutil.copytree(docs_folder, tmp_path / "place")

    def run(words: Sequence[str]) -> tuple[int, str]:
        done = quantlab_in_process(*narrowed(words), cwd=place)
        print(done.stderr)
        return done.status, done.stdout

    assert list(run_blocks(text_of(page), place, run)) == []


@pytest.mark.starts_children
@pytest.mark.parametrize("page", WITH_OUTPUT)
def test_output_is_what_the_commands_print(page: str, tmp_path: Path) -> None:
    def run(words: Sequence[str]) -> tuple[int, str]:
        more = ALONE if words[0] == "analyze" else ()  # what they print does not show the layers and costs
        done = quantlab_in_process(*words, *more, cwd=tmp_path)
        print(done.stderr)
        return done.status, done.stdout

    shown = list(run_blocks(text_of(page), tmp_path, run))
    assert shown
    for printed in shown:
        assert stable(printed.block.body) == stable(printed.text), "run 'python docs/shown_output.py'"


def test_only_pages_that_are_compared_show_output() -> None:
    showing = {page for page in PAGES if any(block.shows_output for block in blocks_of(text_of(page)))}
    assert showing == set(WITH_OUTPUT)


def test_a_block_that_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks_of(text_of(page)):
            assert block.not_run is None or len(block.not_run) > 10, f"{page}: {block.body}"


PAGE = """# A page

```python
# make.py
print()
```

```sh
quantlab show
quantlab gate
echo $?
```

<!-- output until: END -->
```text
old
```

<!-- not run: it needs a phone -->
```sh
quantlab analyze
```
"""


def test_commands_are_run_in_order_and_files_are_written(tmp_path: Path) -> None:
    called = []

    def run(words: Sequence[str]) -> tuple[int, str]:
        called.append(list(words))
        return (0, "a table\n") if words == ["show"] else (3, "a verdict\n")

    (printed,) = run_blocks(PAGE.replace("until: END", "").replace("output ", "output"), tmp_path, run)
    assert called == [["show"], ["gate"]]
    assert (tmp_path / "make.py").read_text() == "# make.py\nprint()\n"
    assert (printed.block.body, printed.text) == ("old\n", "a table\na verdict\n3\n")


def test_output_stops_where_the_page_says(tmp_path: Path) -> None:
    (printed,) = run_blocks(PAGE, tmp_path, lambda _: (0, "a table\n\nEND of it\n"))
    assert printed == Printed(printed.block, "a table\n")


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="'quantlab show' ended with exit status 2"):
        list(run_blocks(PAGE, tmp_path, lambda _: (2, "")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("a  0.145 · 0.189", "a     0.2 · 12.7", True, id="times"),
        pytest.param("largest difference 9.5e−7", "largest difference 8e−07", True, id="tiny differences"),
        pytest.param("model/af45d7d3294d6355/out", "model/0123456789abcdef/out", True, id="hashes"),
        pytest.param("loses at most 0.71 pt", "loses at most 0.72 pt", False, id="losses"),
        pytest.param("7.2  97.02  3/1", "7.2  97.02  1/1", False, id="counts"),
    ],
)
def test_only_what_is_stable_is_compared(one: str, other: str, same: bool) -> None:
    assert (stable(one) == stable(other)) == same

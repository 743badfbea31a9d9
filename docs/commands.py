"""The command blocks of a page: finds them, runs them, and tells what they print.

A block in `sh` or `console` holds commands. A comment on the line above it may say how it is treated:

| comment | meaning |
|---|---|
| `<!-- not run: REASON -->` | the block cannot run in a test, and why |
| `<!-- output -->` above a `text` block | the text is what the command block before it prints |
| `<!-- output until: WORDS -->` | the same, up to the line that begins with these words |

A Python block whose first line is `# NAME.py` is a file that the reader saves; it is written before the next command.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "CommandFailed", "Printed", "blocks_of", "run_blocks", "stable"]

_FENCED = re.compile(
    r"(?:^<!-- (?P<comment>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.M
)

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs `quantlab` with arguments, and gives its exit status and standard output."""


class CommandFailed(Exception):
    """A command of a page that did not end with exit status 0."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    comment: str
    """The comment on the line above, or empty."""
    span: tuple[int, int]
    """Where its body begins and ends in the page."""

    @property
    def not_run(self) -> str | None:
        """Why its commands are not run, or None."""
        return self.comment.removeprefix("not run: ") if self.comment.startswith("not run: ") else None

    @property
    def shows_output(self) -> bool:
        """Whether it is what the command block before it prints."""
        return self.language == "text" and re.match(r"output( until: |$)", self.comment) is not None

    @property
    def until(self) -> str | None:
        """The first words of the line at which the shown output stops; None for the whole output."""
        return self.comment.partition("until: ")[2] or None

    @property
    def file(self) -> str | None:
        """The name under which the reader saves it, or None."""
        named = re.match(r"# ([\w.-]+\.py)\n", self.body) if self.language == "python" else None
        return named[1] if named else None

    @property
    def commands(self) -> list[list[str]]:
        """Its command lines as words; none if it is no command block."""
        if self.language not in {"sh", "console"}:
            return []
        lines = self.body.replace("\\\n", " ").splitlines()
        words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
        return [line for line in words if line]


def blocks_of(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [
        Block(match["language"], match["body"], match["comment"] or "", match.span("body"))
        for match in _FENCED.finditer(page)
    ]


@dataclass(frozen=True, slots=True)
class Printed:
    """A block that shows output, and what it should show."""

    block: Block
    text: str


def run_blocks(page: str, folder: Path, run: Run) -> Iterator[Printed]:
    """Run the commands of a page in a folder, in order.

    Args:
        page: The text of the page.
        folder: Where files of Python blocks are saved; `run` must run there too.
        run: Runs one `quantlab` command.

    Raises:
        CommandFailed: If a command fails and the page does not print its exit status.
        ValueError: If a block holds a command that can only be marked as not run.
    """
    printed = ""
    for block in blocks_of(page):
        if block.file is not None:
            (folder / block.file).write_text(block.body, encoding="utf-8")
        elif block.commands and block.not_run is None:
            printed = _run_block(block, folder, run)
        elif block.shows_output:
            yield Printed(block, _shown(printed, block.until))


def _run_block(block: Block, folder: Path, run: Run) -> str:
    printed, status = [], 0
    commands = block.commands
    for words, following in zip(commands, [*commands[1:], []], strict=True):
        if words[0] == "quantlab":
            status, output = run(words[1:])
            told = following == ["echo", "$?"]
            if status != 0 and not told:
                raise CommandFailed(f"'{shlex.join(words)}' ended with exit status {status}")
            printed.append(output)
        elif words == ["echo", "$?"]:
            printed.append(f"{status}\n")
        elif words[0] == "python" and words[1].endswith(".py"):
            subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True)
        else:
            raise ValueError(f"the command '{shlex.join(words)}' cannot run in a test; mark its block as not run")
    return "".join(printed)


def _shown(printed: str, until: str | None) -> str:
    lines = printed.rstrip("\n").splitlines()
    if until is not None:
        lines = lines[: next(place for place, line in enumerate(lines) if line.startswith(until))]
    return "\n".join(lines).rstrip("\n") + "\n"


def stable(text: str) -> str:
    """Output without what changes from machine to machine: times, tiny differences, hashes, widths of columns."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("Speed"))
    text = re.sub(r"\d+\.\d+ · (\d+\.\d+|–)", "TIMES", text)
    text = re.sub(r"\b\d(\.\d+)?e[-−]\d+\b", "SMALL", text)
    text = re.sub(r"\b[0-9a-f]{12,}\b", "HASH", text)
    text = re.sub(r"-{3,}", "---", text)
    return re.sub(r" +", " ", text)

"""What a text names: files of this machine, a glob of them, numbered files, or addresses."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import excerpt, nearest_of_many
from quantlab.samples.addresses import Store, checked_scheme, is_address, parts_of, store_of
from quantlab.samples.shards import Shard, local_shard

__all__ = ["is_pattern", "local_files", "numbered", "shards_at"]

_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 100_000


def is_pattern(text: str) -> bool:
    """Whether a text names several files, or an address.

    >>> is_pattern("shards/*.tar"), is_pattern("s3://b/a-{0..9}.tar"), is_pattern("x.csv")
    (True, True, False)
    """
    return is_address(text) or glob.has_magic(text) or _NUMBERS.search(text) is not None


def numbered(text: str) -> list[str]:
    """The names that a range in braces stands for; the text itself without one.

    >>> numbered("a-{08..10}.tar")
    ['a-08.tar', 'a-09.tar', 'a-10.tar']

    Raises:
        SamplesError: If a range is empty, or more than `_MOST_SHARDS` names are meant.
    """
    match = _NUMBERS.search(text)
    if match is None:
        return [text]
    first, last, rests = int(match[1]), int(match[2]), numbered(text[match.end() :])
    if not 1 <= last - first + 1 <= _MOST_SHARDS // len(rests):
        raise SamplesError(
            f"the range {match[0]} of '{excerpt(text)}' is empty or too long; write for example {{0..9}}"
        )
    width = len(match[1])
    begins = [f"{text[: match.start()]}{number:0{width}}" for number in range(first, last + 1)]
    return [begin + rest for rest in rests for begin in begins]


def local_files(texts: Sequence[str], folder: Path) -> list[tuple[str, Path]]:
    """The files of this machine that texts name, with the name of each for messages; those of a glob are sorted.

    Addresses are checked and left out.

    Raises:
        SamplesError: If a text names no file.
        UsageError: If a library for an address is missing, or it holds a password.
    """
    files: dict[Path, str] = {}
    for text in texts:
        if is_address(text):
            checked_scheme(text)
            continue
        for name in numbered(text):
            path = folder / name
            if path.is_file():
                files.setdefault(path, name)
                continue
            for found in _matching(name, folder):
                files.setdefault(folder / found, found)
    return [(name, path) for path, name in files.items()]


def _matching(pattern: str, folder: Path) -> list[str]:
    """Names of the files that a pattern matches, as it is relative to a folder or absolute, sorted.

    Raises:
        SamplesError: If there are none.
    """
    found: list[str] = []
    if glob.has_magic(pattern):
        with reading(f"the pattern '{excerpt(pattern)}'", SamplesError, "correct it"):
            found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 (Path.glob takes less)
    found = [name for name in found if (folder / name).is_file()]
    if not found:
        raise SamplesError(_absent(pattern, folder / pattern, folder))
    return found


def _absent(name: str, path: Path, folder: Path) -> str:
    if glob.has_magic(name):
        where = "" if folder == Path() else f" in '{folder}'"
        return f"no file matches '{excerpt(name)}'{where}; put the pattern into quotes, and check the folder"
    if path.is_dir():
        return f"'{path}' is a folder; name the files in it, for example '{name}/*.tar'"
    known = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return f"there is no file '{excerpt(str(path), most=200)}'; {nearest_of_many(path.name, known)}"


def shards_at(texts: Sequence[str], folder: Path) -> list[Shard]:
    """The files that texts name, in the order of the texts.

    Raises:
        SamplesError: If a text names nothing.
        UsageError: If a library is missing, or an address holds a password.
    """
    shards: list[Shard] = []
    asked: list[str] = []
    stores: dict[str, Store] = {}
    for text in texts:
        if not is_address(text):
            shards += [local_shard(path, name) for name, path in local_files([text], folder)]
            asked += [shard.name for shard in shards[len(asked) :]]
            continue
        checked_scheme(text)
        scheme = text.partition("://")[0]
        if scheme not in stores:
            stores[scheme] = store_of(text)
        for name in numbered(text):
            shards += stores[scheme].shards(name)
            # The query is no part of a shard's name, but may say which file is meant.
            query = parts_of(name).query
            asked += [f"{shard.name}?{query}" for shard in shards[len(asked) :]]
    _refuse_twice(shards, asked)
    return shards


def _refuse_twice(shards: Sequence[Shard], asked: Sequence[str]) -> None:
    seen: set[str] = set()
    for shard, text in zip(shards, asked, strict=True):
        if text in seen:
            raise SamplesError(f"'{shard.name}' is named twice, so that every sample would count twice; name it once")
        seen.add(text)

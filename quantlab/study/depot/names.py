"""Names of files that come from a store or a task, which may hold anything, and are joined to a folder here."""

from pathlib import PurePosixPath

__all__ = ["inside", "part_of_study"]

_OF_THE_MACHINE = {"work", "shards"}
"""Folders of a study that belong to the machine: logs and locks, and results of shards that are on their way."""


def inside(name: str) -> bool:
    """Whether a name stays below the folder to which it is joined.

    >>> inside("model/model.onnx"), inside("../model.onnx"), inside("/model.onnx"), inside("")
    (True, False, False, False)
    """
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] != "/" and not any(part == ".." or "\\" in part or "\0" in part for part in parts)


def part_of_study(name: str) -> bool:
    """Whether a name below a study's folder is that of a file of the study: neither a lock nor what is not complete.

    >>> part_of_study("outputs/a/b.npy"), part_of_study("work/hashes.json"), part_of_study(".lock")
    (True, False, False)
    """
    parts = PurePosixPath(name).parts
    unfinished = any(part.startswith(".") or part.endswith(".partial") for part in parts)
    return inside(name) and not unfinished and parts[0].casefold() not in _OF_THE_MACHINE

"""Searches the bytes of a SavedModel's graph, so that questions about its ops need no TensorFlow."""

import mmap
from pathlib import Path

__all__ = ["graph_contains"]


def graph_contains(saved_model: Path, name: bytes) -> bool:
    """Whether a name, or a part of one, is anywhere in `saved_model.pb`; False if there is no such file."""
    graph = saved_model / "saved_model.pb"
    if not graph.is_file() or not graph.stat().st_size:
        return False
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(name) >= 0

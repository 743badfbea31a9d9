"""Shards that an earlier analysis of the same study has run: they are copied from its stored outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.errors import QuantlabError, StudyError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.runtimes.exchange import TensorFile
from quantlab.store import Store
from quantlab.study.shards.results import publish, row_bytes
from quantlab.study.shards.task import Ran
from quantlab.types import JoinedShard, JoinedShards

__all__ = ["JOINED", "EarlierShard", "copy_earlier", "find_earlier", "joined_shard"]

JOINED = "shards.json"
"""The record of shards beside stored outputs."""


@dataclass(frozen=True, slots=True)
class EarlierShard:
    """One shard of stored outputs, and their folder."""

    folder: Path
    shard: JoinedShard


def find_earlier(store: Store, folder: Path) -> dict[str, EarlierShard]:
    """Every shard of the stored outputs of a setting in a runtime, by its key."""
    found = {}
    for record in sorted(folder.glob(f"*/{JOINED}")):
        joined = store.read(record, JoinedShards)
        for shard in joined.shards if joined is not None else ():
            found[shard.key] = EarlierShard(record.parent, shard)
    return found


def copy_earlier(earlier: Mapping[str, EarlierShard], key: str, folder: Path, outputs: Sequence[TensorFile]) -> None:
    """Make the result of a task from stored outputs, if they hold it; whoever reads it compares its hash.

    Args:
        earlier: What is stored, by its key.
        key: The task.
        folder: The folder of results.
        outputs: The tensors of the task, with the names of their files.
    """
    known = earlier.get(key)
    if known is None:
        return
    try:
        with reading(known.folder, StudyError, "run it again"):
            stored = [_stored(output, known) for output in outputs]
            publish(folder, key, _ran(known.shard), stored, known.shard.stop - known.shard.start)
    except QuantlabError:
        return  # then it runs again


def _stored(output: TensorFile, known: EarlierShard) -> TensorFile:
    """The rows of a shard in a stored file."""
    file = known.folder / Path(output.file).name
    return replace(output, file=str(file), offset=int(mapped(file).offset) + known.shard.start * row_bytes(output))


def _ran(shard: JoinedShard) -> Ran:
    return Ran(shard.sha256, shard.ran_on, shard.environment, shard.timing, shard.repeated, shard.worker)


def joined_shard(key: str, start: int, stop: int, ran: Ran) -> JoinedShard:
    """The record of a shard that was joined."""
    return JoinedShard(
        key=key,
        start=start,
        stop=stop,
        sha256=ran.sha256,
        ran_on=ran.ran_on,
        environment=dict(ran.environment),
        timing=ran.timing,
        repeated=ran.repeated,
        worker=ran.worker,
    )

"""The options of a study in shards."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from quantlab.study import ShardOptions

__all__ = ["SHARD_KEYS", "ShardGroup", "overridden", "shard_options"]


@dataclass(frozen=True, slots=True)
class ShardGroup:
    """Options that cut the samples into shards, and say who runs them."""

    shards: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Run the samples in N shards, on several workers. [default: 4 per worker, with --engine]",
            show_default=False,
        ),
    ] = None
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The same, with N samples in each shard.",
            show_default=False,
        ),
    ] = None
    engine: Annotated[
        str | None,
        typer.Option(
            help="What carries shards to workers: local (processes of this machine), dask or ray. [default: local]",
            show_default=False,
        ),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(
            help="Cluster of the engine: tcp://HOST:8786 (dask), ray://HOST:10001. [default: one on this machine]",
            show_default=False,
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers on this machine. [default: one per core]", show_default=False),
    ] = None

    keep_samples: Annotated[
        str | None,
        typer.Option(
            help="Samples that stay on the disk: all, or few, which reads the data again while variants run. "
            "[default: all]",
            show_default=False,
        ),
    ] = None

    @property
    def keys(self) -> dict[str, Any]:
        """What was given, by the keys of `[analyze]`; None is an option that was not given."""
        return {key: getattr(self, key) for key in SHARD_KEYS}


SHARD_KEYS = tuple(field.name for field in fields(ShardGroup))
"""The keys of `[analyze]` that cut the samples into shards, and say who runs them."""

_IN_PLACE_OF: Mapping[str, tuple[str, ...]] = {
    "shards": ("shard_size",),
    "shard_size": ("shards",),
    "address": ("workers",),
    "workers": ("address",),
}
"""What a key replaces in a table that it overrides, because both together contradict each other."""


def overridden(table: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a table, overridden by others, without those that would contradict them.

    >>> overridden({"shards": 8, "limit": 100}, {"shard_size": 512})
    {'limit': 100, 'shard_size': 512}
    >>> overridden({"engine": "dask", "address": "tcp://scheduler:8786"}, {"engine": "local"})
    {'engine': 'local'}
    >>> overridden({"workers": 4}, {"engine": "local"})
    {'workers': 4, 'engine': 'local'}
    """
    gone = {other for key in given for other in _IN_PLACE_OF.get(key, ())}
    engine = table.get("engine") or "local"
    if given.get("engine", engine) != engine:  # another one has other workers elsewhere
        gone |= {"address", "workers"}
    return {**{key: value for key, value in table.items() if key not in gone}, **given}


def shard_options(table: Mapping[str, Any]) -> "ShardOptions | None":
    """Return how the keys of a table cut the samples into shards; None if they do not.

    Raises:
        UsageError: If they contradict each other, or there is no such engine.
    """
    given = {key: table[key] for key in SHARD_KEYS if table.get(key) is not None}
    if not given:
        return None
    from quantlab.engines import engine_named
    from quantlab.study import ShardOptions

    options = ShardOptions(**given)
    engine_named(options.engine)
    return options

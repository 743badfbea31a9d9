"""The workers of a study, started and released with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from quantlab.engines import Engine, EngineRequest, engine_named
from quantlab.store import Store
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.shards.options import ShardOptions
from quantlab.study.shards.sharding import RUN_TASK, Sharding

__all__ = ["started_workers"]


@contextmanager
def started_workers(
    store: Store,
    options: ShardOptions | None,
    engines: Mapping[str, Engine],
    *,
    batch_size: int,
    time_limit: float,
    depot: ObjectDepot | None = None,
) -> Iterator[Sharding | None]:
    """The workers of a study while it runs; None if it is not cut into shards.

    Args:
        store: The study.
        options: How it is cut.
        engines: All engines by name.
        batch_size: Most samples of a batch of any run.
        time_limit: Seconds without a message after which a runtime is ended.
        depot: What the workers share with the command; None if they share the study's folder.

    Raises:
        UsageError: If the engine is unknown, or its address is none.
        RuntimeUnavailable: If the engine is not installed, or nobody answers at its address.
    """
    if options is None:
        yield None
        return
    engine = engine_named(options.engine, engines)
    modules = (RUN_TASK.partition(":")[0],)
    workers = engine.start(EngineRequest(options.address, options.workers, store.work, modules))
    try:
        sharding = Sharding(store, options, workers, batch_size, time_limit, depot)
    except BaseException:  # such as of a cluster that went away
        workers.close()
        raise
    try:
        yield sharding
    finally:
        sharding.close()

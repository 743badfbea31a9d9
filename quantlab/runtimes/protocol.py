"""Runs and times variants: one protocol for the children of all hosts.

A child answers requests in sequence. It is kept for the next job of its kind only after `Done`. After `Failed`, or if
the caller stops reading, its state is unknown, so it is ended.
"""

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import TypeVar

from quantlab.errors import QuantlabError, TrialError
from quantlab.processes import Child, ChildPool, Lane, messages_of
from quantlab.runtimes.contract import Host, Runtime
from quantlab.runtimes.exchange import Job, TimingPlan
from quantlab.runtimes.requests import Request, Run, Time, Wait, request_document
from quantlab.types.messages import Done, Failed, Message, Waiting

__all__ = ["answer", "answered", "ask", "ask_child", "run", "time"]

_Kind = TypeVar("_Kind")


def run(runtime: Runtime, job: Job, pool: ChildPool, *, opened: str = "") -> Generator[Message, None, None]:
    """Run a job in a child of the runtime's host; yield `Ready`, `Progress` after each batch, then `Done` or `Failed`.

    Args:
        runtime: Where it runs.
        job: What is run.
        pool: The children.
        opened: Name of the variant, if it is run in parts: then it stays open in the child, which also takes the next
            part, if the host allows it.

    Raises:
        ChildDied: If the child ends before the last message; the next call starts another.
        ChildStalled: If it sends nothing for too long.
    """
    opened = opened if runtime.host.stays_open else ""
    return ask(runtime.host, Run(replace(job, backend=runtime.backend), opened), pool)


def time(runtime: Runtime, job: Job, plan: TimingPlan, pool: ChildPool) -> Generator[Message, None, None]:
    """Time a job's variant in a child that has done nothing before and is ended after: another's memory and caches
    are not this variant's.

    The first message is `Waiting`. Timing begins when the next message is requested, so that one child can start while
    another waits. Then come `Ready`, sometimes `Progress`, `Timed`, and `Done` or `Failed`. Nothing is written.

    Raises:
        ChildDied: If the child ends before the last message.
        ChildStalled: If it sends nothing for too long.
    """
    job = replace(job, backend=runtime.backend)
    if not runtime.host.starts_ahead:
        yield Waiting()
    with pool.keep(runtime.host.start(job, pool)) as child:
        if runtime.host.starts_ahead:
            for _ in ask_child(child, Wait(job), pool):  # a failure is ignored: the next request fails, too
                pass
            yield Waiting()
        yield from ask_child(child, Time(job, plan), pool)


def ask(host: Host, request: Request, pool: ChildPool, *, lane: Lane | None = None) -> Generator[Message, None, None]:
    """Send a request to an idle or new child, and yield its answers.

    In a lane, whose lock the caller holds, the same child answers as long as it lives, so that opened variants stay
    open.
    """
    kind = host.kind(request.job, pool)
    own = f"{lane.kind} of {kind}" if lane else kind
    opened = request.opened if isinstance(request, Run) else ""
    child = pool.take(dict.fromkeys((own, kind)), lambda: host.start(request.job, pool), opened=opened)
    last: Message | None = None
    try:
        for last in ask_child(child, request, pool):
            yield last
    finally:
        if not isinstance(last, Done) or last.ending:
            child.close()
        elif host.lasting and lane is None and not opened:
            pool.give_back_lasting(kind, child)
        else:
            pool.give_back(own, child, opened=opened)


def ask_child(child: Child, request: Request, pool: ChildPool) -> Generator[Message, None, None]:
    """Send a request to a given child, and yield its answers."""
    child.send(request_document(request))
    yield from messages_of(child, pool.stall_seconds)


def answer(
    host: Host,
    request: Request,
    kind: type[_Kind],
    pool: ChildPool,
    *,
    error: type[QuantlabError] = TrialError,
    lane: Lane | None = None,
) -> _Kind:
    """Send a request and return the answer of the given kind; reads all answers, so that the child is free again.

    In a lane, others wait until then.

    Raises:
        error: If the request failed.
    """
    # Closed before the lock is released: the child must be given back before the next in the lane takes it.
    with (
        lane.lock if lane else contextlib.nullcontext(),
        contextlib.closing(ask(host, request, pool, lane=lane)) as messages,
    ):
        return answered(messages, kind, error)


def answered(messages: Iterable[Message], kind: type[_Kind], error: type[QuantlabError]) -> _Kind:
    """Return the message of the given kind from the answers to a request.

    Raises:
        error: If the request failed, or ended without such a message.
    """
    answer: _Kind | None = None
    for message in messages:
        if isinstance(message, Failed):
            raise error(message.reason)
        if isinstance(message, kind):
            answer = message
    if answer is None:
        raise error(f"the process answered without the message '{kind.__name__}'")
    return answer

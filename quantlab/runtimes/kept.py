"""Jobs for children that are kept: a program's start is paid once, and not by each job."""

from collections.abc import Callable, Generator

from quantlab.processes import Child, ChildPool, Lane, Message

__all__ = ["ask_in_lane", "ask_kept", "ask_waiting"]


def ask_kept(
    kind: str, document: Message, pool: ChildPool, start: Callable[[], Child]
) -> Generator[Message, None, None]:
    """Send a job document to an idle child of a kind, or to a new one, and give on its messages.

    The child is kept for the next job of its kind, of any study, only after `done`. After `failed`, or where the
    listener stops in the middle, it is closed: nobody can tell what such a job has left in it. So is one that says with
    `done` that it ends.
    """
    child = pool.take((kind,), start)
    done = False
    try:
        child.send(document)
        for message in child.messages(pool.stall_seconds):
            done = message["type"] == "done" and not message.pop("ending", False)
            yield message
    finally:
        if done:
            pool.give_back_lasting(kind, child)
        else:
            child.close()


def ask_in_lane(
    kind: str, document: Message, pool: ChildPool, lane: Lane, start: Callable[[], Child]
) -> Generator[Message, None, None]:
    """The same for a document that leaves something open in the child: it answers for its lane until the study ends."""
    own = f"{lane.kind} of {kind}"
    child = pool.take((own, kind), start)
    done = False
    try:
        child.send(document)
        for message in child.messages(pool.stall_seconds):
            done = message["type"] == "done"
            yield message
    finally:
        if done:
            child.end_of_request()
            pool.give_back(own, child)
        else:
            child.close()


def ask_waiting(
    wait: Message, request: Message, pool: ChildPool, start: Callable[[], Child]
) -> Generator[Message, None, None]:
    """Start a child of its own, say `waiting` once it has started, and send the request when more is asked for.

    Args:
        wait: What the child answers with `done` when it has started; a failure is passed over, since the request will
            have the same.
        request: What it is to do then.
        pool: Ends the child at the latest.
        start: Starts it.
    """
    with pool.keep(start()) as child:
        child.send(wait)
        for _ in child.messages(pool.stall_seconds):
            pass
        yield {"type": "waiting"}
        child.send(request)
        yield from child.messages(pool.stall_seconds)

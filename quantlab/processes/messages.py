"""Converts the documents of a child to messages."""

from collections.abc import Iterator

from quantlab.processes.child import Child, ChildDied
from quantlab.processes.documents import untagged
from quantlab.types.messages import MESSAGES, Message

__all__ = ["messages_of"]


def messages_of(child: Child, stall_seconds: float) -> Iterator[Message]:
    """Yield the answers to a request, up to and including `Done` or `Failed`.

    Raises:
        ChildStalled: If none comes in time; the process is ended.
        ChildDied: If the process ended or sent an invalid message; in the latter case it is ended.
    """
    for document in child.messages(stall_seconds):
        try:
            message = untagged(document, MESSAGES)
        except ValueError as error:
            child.close()
            raise ChildDied(f"the process was ended because it sent {error} where a message was expected") from error
        yield message

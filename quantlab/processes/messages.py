"""What a child said, as dataclasses: the boundary at which documents become messages."""

from collections.abc import Iterator

from quantlab.processes.child import Child, ChildDied
from quantlab.processes.documents import untagged
from quantlab.types.messages import MESSAGES, Message

__all__ = ["messages_of"]


def messages_of(child: Child, stall_seconds: float) -> Iterator[Message]:
    """The messages that answer a request, up to and including `Done` or `Failed`.

    Raises:
        ChildStalled: If none comes in time; the process is ended.
        ChildDied: If the process ended, or says what is no message; then it is ended.
    """
    for document in child.messages(stall_seconds):
        try:
            message = untagged(document, MESSAGES)
        except ValueError as error:
            child.close()
            raise ChildDied(f"the process was ended, since it said {error} where a message was expected") from error
        yield message

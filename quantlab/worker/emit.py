"""The type of the function with which worker code sends messages."""

from collections.abc import Callable

from quantlab.types.messages import Message

__all__ = ["Emit"]

Emit = Callable[[Message], None]
"""Sends a message to the parent."""

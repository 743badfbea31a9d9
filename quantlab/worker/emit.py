"""How what runs in a worker says something."""

from collections.abc import Callable

from quantlab.types.messages import Message

__all__ = ["Emit"]

Emit = Callable[[Message], None]
"""Sends a message to the parent."""

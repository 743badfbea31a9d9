"""Imports a function of a module that it does not call while it is imported itself (see `test_forked_children`)."""

from fileinput import hook_encoded

__all__ = ["hook_encoded"]

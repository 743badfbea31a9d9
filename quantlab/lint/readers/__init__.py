"""Readers: each makes a `Subject` from a file of one kind, and imports no other."""

"""Calls that people make of a model and its artifacts: families of attempts, each compared with the right call."""

"""Renderings: one file each, and each renders any table."""

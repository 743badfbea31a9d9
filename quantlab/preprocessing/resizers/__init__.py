"""Resize functions of libraries as NumPy arithmetic, one file for each library."""

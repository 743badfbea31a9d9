"""Views of a study: one file each."""

"""What can be shown of a study: one file a view."""

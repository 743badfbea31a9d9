"""The hazards, one file for each close family; `quantlab.lint.registry` lists them."""

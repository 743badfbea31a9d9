"""What runs in child processes only; nothing of quantlab imports it, the programs in it are started by their name."""

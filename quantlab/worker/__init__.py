"""Programs that run only in child processes. They are started by module name; no other package imports them."""

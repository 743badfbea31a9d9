"""How tables are written: one file a rendering, each of which writes any table."""

"""Where weights come from: one file per kind of source, one cache for all."""

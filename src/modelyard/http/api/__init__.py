"""The control API: one file per noun."""

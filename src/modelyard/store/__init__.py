"""The only room that knows SQL. It gives and takes domain objects."""

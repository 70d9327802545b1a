"""What modelyard is about, as frozen data and pure functions: no I/O, no framework."""

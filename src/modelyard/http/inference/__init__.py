"""The inference calls: plain Starlette routes, no validation framework."""

"""The OpenAI-compatible surface, /v1: plain Starlette routes around the gateway, like the inference calls of /v4."""

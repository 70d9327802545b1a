"""The top-level calls: /v4/chat-completions, /v4/completions and /v4/chunks/rank, which name a model in their body."""

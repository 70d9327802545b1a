"""The process that serves a model."""

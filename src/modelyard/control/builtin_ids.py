"""Ids of built-in entities, made from their names, so that every server, and every start of it, means the same rows."""

from uuid import UUID, uuid5

_NAMESPACE = UUID("6f4bd0c9-5c5e-4f0e-9d0f-3c1d8a8f7f31")


def template_id(name: str) -> str:
    return str(uuid5(_NAMESPACE, f"template/{name}"))


def model_id(name: str) -> str:
    return str(uuid5(_NAMESPACE, f"model/{name}"))


def deployment_id(name: str) -> str:
    return str(uuid5(_NAMESPACE, f"deployment/{name}"))

"""Accounts' own access to vendors on the wire. All of it is ours: the official client has no such calls."""

from typing import Annotated

from pydantic import Field, SecretStr

from modelyard.domain.models import ModelVendor
from modelyard.http.api.wire.common import Body, Choice, FreeForm, Id, Name, Owned

Secret = Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
Place = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:-]{0,127}$")]
"""A project or region: part of an address."""


class CredentialCreate(Body):
    """Which fields are needed depends on the vendor: ``api_key``; for VERTEX_AI ``service_account``; for BEDROCK
    ``bearer_token``, or ``access_key_id`` and ``secret_access_key``, and ``region``."""

    vendor: Choice[ModelVendor]
    name: Name | None = None
    """How models refer to it; the vendor's name in lower case where it is not given."""
    account_id: Id | None = None
    api_key: Secret | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    bearer_token: Secret | None = None
    service_account: FreeForm | None = None
    """A Google service account's key file, as the JSON object that it is."""
    base_url: Annotated[str, Field(max_length=2048)] | None = None
    """The only address that the secret is sent to. Not given: the vendor's own."""
    project: Place | None = None
    location: Place | None = None
    region: Place | None = None


class CredentialAnswer(Owned):
    """The secret itself is never given back."""

    name: str
    vendor: ModelVendor
    masked: str
    base_url: str | None
    project: str | None
    location: str | None
    region: str | None

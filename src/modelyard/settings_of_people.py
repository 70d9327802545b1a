"""Settings of who comes in and what is told of it; part of `modelyard.settings`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SecretStr

from modelyard.described import Described


class Group(Described):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AuditSettings(Group):
    retention_days: Annotated[int, Field(ge=1)] | None = None
    """Audit entries that are older than so many days are deleted. Not set: none ever is."""


class CallLogSettings(Group):
    queue_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    """Bodies of calls that wait to be stored take at most so much memory of each gateway process; what comes beyond
    that is dropped and counted."""


class OtelSettings(Group):
    endpoint: str | None = None
    """Where OpenTelemetry's traces and metrics go by OTLP over HTTP, as in http://collector:4318 (extra ``otel``).
    Not set: where the standard variable OTEL_EXPORTER_OTLP_ENDPOINT says, or nowhere."""
    sampled: Annotated[float, Field(ge=0, le=1)] = 1
    """The share of traces that are kept of those that begin here; where a caller began one, it has decided."""


class OidcSettings(Group):
    """Signing in by OpenID Connect; off while there is no issuer."""

    issuer: str | None = None
    """The provider's address, below which it publishes /.well-known/openid-configuration."""
    client_id: str = "modelyard"
    """What the provider knows this server as. Its redirect address there is <public_url>/auth/callback."""
    client_secret: SecretStr | None = None
    """Not set: a public client, by PKCE alone."""
    scope: str = "openid email profile"
    """What is asked of the provider."""
    public_url: str | None = None
    """This server's address as browsers know it, as in https://models.example.com. Not set: as the request says."""
    verified_email_only: bool = True
    """Whether people are known by their address only where the provider says that it is verified."""
    provision_domains: tuple[str, ...] = ()
    """Domains of e-mail addresses whose people need no invitation, as in ["example.com"]."""
    provision_role: Literal["manager", "editor", "member", "viewer"] = "member"
    """The role that they get."""
    provision_account_id: str | None = None
    """The account that they get it in. Not set: the one that the first start made."""
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12
    """How long a session lasts."""

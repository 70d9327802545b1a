"""Who a person is that an OIDC provider vouches for. https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.domain import emails


@dataclass(frozen=True, slots=True)
class Person:
    """What of an ID token's claims is looked at."""

    issuer: str
    subject: str
    """The provider's own word for the person, which stays when the address changes."""
    email: str | None
    """In its normal form; None where there is none, or the provider has not verified it and must have."""
    first_name: str | None = None
    last_name: str | None = None


def person_of(issuer: str, claims: Mapping[str, Any], *, verified_only: bool) -> Person:
    """ValueError where the claims name nobody. ``verified_only``: an address counts only where the provider says that
    it is verified: with some, people write there what they like."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or len(subject) > 255:
        raise ValueError("the provider's token names nobody")
    return Person(
        issuer,
        subject,
        _email(claims, verified_only=verified_only),
        _text(claims.get("given_name")) or _text(claims.get("name")),
        _text(claims.get("family_name")),
    )


def _email(claims: Mapping[str, Any], *, verified_only: bool) -> str | None:
    text = claims.get("email")
    # Some providers write "true".
    verified = claims.get("email_verified") in (True, "true")
    if not isinstance(text, str) or (verified_only and not verified):
        return None
    try:
        return emails.normal(text)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(each for each in value if each.isprintable()).strip()[:256] or None

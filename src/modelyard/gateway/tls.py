"""Whom we believe over TLS: the system's certificate authorities, Mozilla's (certifi), and those of the settings."""

import ssl
from functools import cache
from pathlib import Path

import certifi

from modelyard.errors import ConfigurationError


@cache
def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Made once: reading the authorities takes some ten milliseconds. ``SSL_CERT_FILE`` counts, as everywhere."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"MODELYARD_VENDORS__CA_FILE: {ca_file} holds no certificate authorities: {error}."
            ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context

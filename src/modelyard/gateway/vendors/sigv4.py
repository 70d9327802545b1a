"""AWS's Signature Version 4, as a pure function. The arithmetic is botocore's (extra ``bedrock``), without any I/O.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from modelyard.gateway.adapters.eventstream import botocore_part
from modelyard.gateway.adapters.wire import WireRequest

SERVICE = "bedrock"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Of temporary credentials."""


def signed(
    wire: WireRequest, base_url: str, region: str, credentials: AwsCredentials, now: datetime, service: str = SERVICE
) -> WireRequest:
    """``wire`` with the headers that prove whose it is: ``x-amz-date``, ``authorization``, and for temporary
    credentials ``x-amz-security-token``.

    ``base_url`` and ``wire.path`` must be what is sent, letter for letter; ``wire.headers`` are signed too. AWS accepts
    a signature for five minutes around ``now``. Raises `UpstreamError` where botocore is not installed.
    """
    library = botocore_part("auth")
    url = urlsplit(base_url)
    stamp = now.astimezone(UTC).strftime(library.SIGV4_TIMESTAMP)
    new = [("x-amz-date", stamp)]
    if credentials.session_token is not None:
        new.append(("x-amz-security-token", credentials.session_token))
    request = botocore_part("awsrequest").AWSRequest(
        wire.method,
        f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}{wire.path}",
        {"host": url.netloc, **dict(wire.headers), **dict(new)},
        wire.body,
    )
    request.context["timestamp"] = stamp
    keys = botocore_part("credentials").Credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    signer = library.SigV4Auth(keys, service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    proof = f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
    return WireRequest(
        wire.path, wire.body, wire.method, (*wire.headers, *new, ("authorization", proof)), wire.adjusted
    )

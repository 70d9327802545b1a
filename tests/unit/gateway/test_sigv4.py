"""Signatures of AWS: the published test suite, and what botocore's own client signs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html (the suite's names are kept as ids).
"""

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest

from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.vendors.sigv4 import AwsCredentials, signed

ADDRESS = "https://example.amazonaws.com"
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
KEY = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7"
    "mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d"
    "+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = (("content-type", "application/x-www-form-urlencoded"),)


@pytest.mark.parametrize(
    ("wire", "headers", "signature"),
    [
        pytest.param(
            WireRequest("/", b"", "GET"),
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            id="get-vanilla",
        ),
        pytest.param(
            WireRequest("/?Param2=value2&Param1=value1", b"", "GET"),
            "host;x-amz-date",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            id="get-vanilla-query-order-key-case",
        ),
        pytest.param(
            WireRequest("/", b""),
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            WireRequest("/", b"Param1=value1", headers=FORM),
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
    ],
)
def test_the_published_suite(wire: WireRequest, headers: str, signature: str) -> None:
    got = signed(wire, ADDRESS, "us-east-1", KEY, NOW, service="service")
    credential = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert dict(got.headers) == {
        **dict(wire.headers),
        "x-amz-date": "20150830T123600Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={headers}, Signature={signature}",
    }
    assert (got.path, got.body, got.method) == (wire.path, wire.body, wire.method)


def test_temporary_credentials_as_in_the_published_suite() -> None:
    credentials = AwsCredentials(KEY.access_key_id, KEY.secret_access_key, TOKEN)
    headers = dict(signed(WireRequest("/", b""), ADDRESS, "us-east-1", credentials, NOW, service="service").headers)
    assert headers["x-amz-security-token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in headers["authorization"]
    assert headers["authorization"].endswith("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")


def test_any_time_zone_says_the_same_moment() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    wire = WireRequest("/", b"x")
    assert signed(wire, ADDRESS, "us-east-1", KEY, elsewhere) == signed(wire, ADDRESS, "us-east-1", KEY, NOW)


def test_secrets_are_not_shown() -> None:
    assert "wJalr" not in repr(AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "token-of-mine"))
    assert "token-of-mine" not in repr(AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "token-of-mine"))


@pytest.mark.parametrize(
    "model",
    [
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
    ],
)
def test_amazons_own_client_signs_the_same(model: str) -> None:
    """What botocore would send for the same call, stopped just before it goes out."""
    client = boto3.client(
        "bedrock-runtime", "us-east-1", aws_access_key_id=KEY.access_key_id, aws_secret_access_key=KEY.secret_access_key
    )
    seen: list[Any] = []

    class Stop(Exception):
        pass

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise Stop

    client.meta.events.register("before-send.bedrock-runtime.Converse", stop)
    with pytest.raises(Stop):
        client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Say hi"}]}])
    (theirs,) = seen
    address, _, path = theirs.url.partition("/model/")
    when = datetime.strptime(theirs.headers["X-Amz-Date"].decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    also = (("content-type", "application/json"),)
    ours = signed(WireRequest(f"/model/{path}", theirs.body, headers=also), address, "us-east-1", KEY, when)
    assert dict(ours.headers)["authorization"] == theirs.headers["Authorization"].decode()
    assert json.loads(theirs.body)["messages"]


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)  # as if it were not installed
    with pytest.raises(UpstreamError, match="modelyard\\[bedrock\\]") as caught:
        signed(WireRequest("/", b""), ADDRESS, "us-east-1", KEY, NOW)
    assert caught.value.code == "missing_extra"

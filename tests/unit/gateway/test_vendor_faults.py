"""What callers learn of a vendor's trouble."""

import pytest

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.errors import InvalidRequest, RateLimited
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error
from modelyard.http.errors import headers_of, status_of


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.REFUSED, 422, "refused_by_vendor"),
        (Fault.FILTERED, 422, "content_filtered"),
        (Fault.TOO_LONG, 422, CONTEXT_LENGTH_EXCEEDED),
        (Fault.CREDENTIALS, 502, "vendor_credentials_invalid"),
        (Fault.UNPAID, 502, "vendor_unpaid"),
        (Fault.UNKNOWN_MODEL, 502, "vendor_model_unknown"),
        (Fault.RATE_LIMITED, 429, "vendor_rate_limited"),
        (Fault.BUSY, 503, "vendor_busy"),
        (Fault.SLOW, 504, "upstream_timeout"),
        (Fault.FAILED, 502, "vendor_failed"),
    ],
)
def test_each_fault_has_its_status_and_code_and_the_vendors_words(fault: Fault, status: int, code: str) -> None:
    error = vendor_error(fault, "Acme", "the words")
    assert (status_of(error), error.code) == (status, code)
    assert "Acme" in str(error)
    assert "the words" in str(error)


def test_the_field_at_fault_is_named_where_it_is_known() -> None:
    error = vendor_error(Fault.REFUSED, "Acme", "too many", field="max_tokens")
    assert isinstance(error, InvalidRequest)
    assert error.errors[0].loc == ("body", "max_tokens")


def test_a_rate_limit_says_when_to_come_back() -> None:
    error = vendor_error(by_status(429), "Acme", "slow down")
    assert isinstance(error, RateLimited)
    assert int(headers_of(error)["retry-after"]) >= 1
    assert headers_of(vendor_error(Fault.BUSY, "Acme", "slow down", retry_after=34))["retry-after"] == "34"


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.REFUSED),
        (401, Fault.CREDENTIALS),
        (402, Fault.UNPAID),
        (403, Fault.CREDENTIALS),
        (404, Fault.UNKNOWN_MODEL),
        (422, Fault.REFUSED),
        (429, Fault.RATE_LIMITED),
        (500, Fault.FAILED),
        (503, Fault.BUSY),
        (504, Fault.SLOW),
        (529, Fault.BUSY),
        (302, Fault.FAILED),
    ],
)
def test_a_status_alone_is_read_too(status: int, fault: Fault) -> None:
    assert by_status(status) is fault


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message":"no such model"}', "no such model"),
        (b'{"error":{"message":"nested"}}', "nested"),
        (b"<!DOCTYPE html><html><head><title>502\n Bad Gateway</title>", "a web page, titled '502 Bad Gateway'"),
        (b"\n <html><body>no title", "a web page"),
        (b"plain words", "plain words"),
        (b"", "no explanation"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_words_are_found_in_any_body(body: bytes, words: str) -> None:
    assert explanation(body) == words

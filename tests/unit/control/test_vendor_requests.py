"""The vendors' request parameters are a schema like any template's."""

import pytest

from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import check_schema, check_values
from modelyard.domain.templates import ModelType
from modelyard.domain.vendor_requests import request_schema_of


@pytest.mark.parametrize("vendor", ModelVendor)
@pytest.mark.parametrize("model_type", ModelType)
def test_each_schema_is_sound_and_asks_for_nothing(vendor: ModelVendor, model_type: ModelType) -> None:
    schema = request_schema_of(vendor, model_type)
    assert check_schema(schema, "body") == []
    assert check_values(schema, {}, "body") == []


def test_what_a_vendor_does_not_know_is_unknown() -> None:
    schema = request_schema_of(ModelVendor.COHERE, ModelType.EMBEDDING)
    assert check_values(schema, {"input_type": "search_query", "dimensions": 256}, "body") == []
    assert [error.loc for error in check_values(schema, {"safety_mode": "OFF"}, "body")] == [("body", "safety_mode")]

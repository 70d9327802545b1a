"""Vendors' models: where and how one is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import Value


@dataclass(frozen=True, slots=True)
class VendorTarget:
    """What an adapter and its credentials need to know of one vendor's model."""

    vendor: ModelVendor
    model: str
    """The vendor's own name for it."""
    base_url: str
    """As in ``https://api.anthropic.com``, without a slash at its end; adapters' paths are relative to it."""
    max_output_tokens: int | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """What else the vendor's addresses need, such as ``project`` and ``location``, ``region``."""

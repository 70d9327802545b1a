"""What is known of vendors; part of `modelyard.store.tables`."""

from sqlalchemy import Boolean, Column, Float, Integer, Table

from modelyard.store.columns import Instant, Name
from modelyard.store.tables import metadata

vendor_rests = Table(
    "vendor_rests",
    metadata,
    # the vendor's name of the model; empty: the key rests for all of them
    Column("key_id", Name, primary_key=True),
    Column("model", Name, primary_key=True),
    Column("began", Instant, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("number", Integer, nullable=False),
    Column("limited", Boolean, nullable=False),
)

RESTS_VERSION = "vendor_rests"
"""The counter that goes up whenever rests change."""

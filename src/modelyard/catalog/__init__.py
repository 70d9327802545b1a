"""What ships with modelyard: built-in templates, starter models and engine cards, as data."""

from modelyard.catalog.entries import Catalog, Starter, TemplateEntry
from modelyard.catalog.loader import load

__all__ = ["Catalog", "Starter", "TemplateEntry", "load"]

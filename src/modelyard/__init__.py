"""modelyard: a self-hosted model platform."""

from importlib.metadata import version

__version__ = version("modelyard")

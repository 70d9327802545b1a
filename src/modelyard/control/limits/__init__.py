"""Budgets and rate limits: what the API does to them, and what gateways ask before a call."""

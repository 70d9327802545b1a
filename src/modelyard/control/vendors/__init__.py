"""Vendors' models: their keys, credentials, deployments and routes."""

"""Signing in by OpenID Connect: /auth/login, /auth/callback, /auth/logout, and what a session's cookie may do."""

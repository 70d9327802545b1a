"""The command line. Talks HTTP to a server, except for serve, worker and db."""

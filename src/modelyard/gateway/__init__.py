"""The data plane: from a checked request to a worker's answer and one usage record."""

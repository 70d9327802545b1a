"""What other systems are told: metrics for Prometheus, spans and metrics for OpenTelemetry."""

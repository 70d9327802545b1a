"""What is kept of single calls: records to read, bodies beside them, redaction."""

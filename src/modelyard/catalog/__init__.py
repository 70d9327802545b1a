"""Built-in templates, starter models and engine cards: YAML data and a loader."""

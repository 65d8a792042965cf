"""Scenarios: the typed model of pipelines/*.toml, and the placeholders of texts."""

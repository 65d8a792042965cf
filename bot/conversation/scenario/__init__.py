"""Scenarios: the typed model of pipelines/*.toml, and its mistakes in words."""

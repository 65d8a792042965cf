"""The local LLM: a talk by rules, without a model, in every language that has a `rules.toml`."""

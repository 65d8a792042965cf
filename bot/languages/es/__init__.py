"""Spanish: what is said without a model, and what is known by ear."""

"""Commands: serve (with workers), simulate, doctor. Nothing imports this package."""

"""Suites of one's own scenarios: cases, the calls that are held for them, what was expected of them."""

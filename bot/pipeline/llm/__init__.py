"""The language model: vendors, their fallback, and what Claude needs on a phone line."""

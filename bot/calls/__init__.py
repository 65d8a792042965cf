"""A call from the request to its last webhook, around the line. agent.py puts the parts together."""

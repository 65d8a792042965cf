"""Tools that a scenario file declares: HTTP requests, and what MCP servers bring."""

"""Tools of MCP servers that the operator has named, for agents to use."""

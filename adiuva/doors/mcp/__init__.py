"""The agents' tools over the Model Context Protocol, for clients that bring a model of their own."""

"""Chat: a message becomes an answer and actions."""

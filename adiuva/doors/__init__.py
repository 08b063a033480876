"""Other ways to the same agents, for clients that speak another wire than Adiuva's own."""

"""What runs here, for people who look at the server."""

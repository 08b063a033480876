"""The end of an account: its rows at once, and what is outside the database as soon as that can be reached."""

"""What admins did: an append-only log in the database, written in the transaction of the act itself."""

"""Backups of a user's whole data: ciphertext, as records are, and counted by themselves."""

"""Vectors: what clients search by, each with an encrypted blob that only its user can read."""

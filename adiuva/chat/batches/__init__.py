"""Batches: many requests at once, run in the background, their results sealed to the client's key."""

"""Plugins that are bought: one charge each, whatever is repeated, concurrent or crashed."""

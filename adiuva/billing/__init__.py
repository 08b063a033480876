"""Billing: the four tiers and what each of them holds."""

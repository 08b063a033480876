"""Tiers that are paid for: checkout, Stripe's subscription and our row of it, its end."""

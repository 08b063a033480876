"""What Stripe tells by webhook: verified, stored once, acknowledged, applied, and tried again until it is."""

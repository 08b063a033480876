"""Authors' shares: their accounts at Stripe, and the transfers to them."""

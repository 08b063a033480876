"""A double of Stripe's API over HTTP: it behaves as Stripe documents, keeps what it is told, and fails on demand.

``async with StripeDouble() as stripe`` in tests; ``python -m adiuva.testing.stripe_double`` by itself. No money, no
account, nothing outside this machine.
"""

from adiuva.testing.stripe_double.double import StripeDouble
from adiuva.testing.stripe_double.faults import Fault

__all__ = ["Fault", "StripeDouble"]

"""What can be wrong with a wish of a user about money."""

from adiuva.billing.stripe import PaymentsUnavailableError
from adiuva.errors import ConflictError, NotFoundError


class SameTierError(ConflictError):
    """You are on this tier already."""

    code = "already_on_tier"


class NothingToCancelError(NotFoundError):
    """There is no subscription to cancel."""


class PriceMissingError(PaymentsUnavailableError):
    """This tier cannot be bought here: the operator has to make its price at Stripe."""

    code = "price_missing"


class StripeNeededError(PaymentsUnavailableError):
    """This needs Stripe, which this server is not connected to."""

    code = "stripe_not_configured"

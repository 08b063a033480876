"""What goes wrong with batches only."""

from adiuva.errors import ConflictError, PaymentRequiredError, UnavailableError


class BatchLimitError(PaymentRequiredError):
    """As many batches are active as your tier holds."""

    code = "batch_limit_reached"


class DependencyFailedError(ConflictError):
    """An item that this one uses has failed."""

    code = "dependency_failed"


class BatchesNotServedError(UnavailableError):
    """Batches are not served here: several processes share this address, and a batch would live in one of them."""

    code = "batches_not_served"

"""What goes wrong with batches only."""

from adiuva.errors import ConflictError, PaymentRequiredError


class BatchLimitError(PaymentRequiredError):
    """As many batches are active as your tier holds."""

    code = "batch_limit_reached"


class DependencyFailedError(ConflictError):
    """An item that this one uses has failed."""

    code = "dependency_failed"

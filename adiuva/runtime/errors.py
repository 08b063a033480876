"""What only the runtime raises."""

from adiuva.errors import AdiuvaError


class RequestCancelledError(AdiuvaError):
    """This request was cancelled."""

    code = "cancelled"


class HandlerCrashedError(AdiuvaError):
    """The handler ended without an answer."""

"""What can go wrong for an author at the command line."""

from adiuva.errors import AdiuvaError


class KitError(AdiuvaError):
    """The package cannot be written or checked."""

    code = "kit"

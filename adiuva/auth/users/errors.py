"""What can be wrong with an act of an admin."""

from adiuva.errors import ConflictError


class LastAdminError(ConflictError):
    """This is the only admin; make somebody else one before."""

    code = "last_admin"

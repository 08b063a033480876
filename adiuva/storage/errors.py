"""What can be wrong with a record."""

from adiuva.errors import ConflictError


class IdTakenError(ConflictError):
    """There is a record with this id already, and it is another one."""

    code = "id_taken"

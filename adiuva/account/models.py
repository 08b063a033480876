"""What the end of an account takes, and what it leaves for later."""

from uuid import UUID

from attrs import field, frozen

from adiuva.auth.passwords import MAX_BYTES
from adiuva.web.wire import MaxBytes


@frozen(kw_only=True)
class DeleteRequest:
    """The password again: a login that somebody left open is not enough."""

    password: str = field(validator=MaxBytes(MAX_BYTES), repr=False)


@frozen(kw_only=True)
class Remains:
    """A deleted user of whom something may be left in a place outside the database."""

    user_id: UUID
    name: str  # what the user is called there

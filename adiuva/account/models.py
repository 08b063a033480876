"""What the end of an account takes."""

from attrs import field, frozen

from adiuva.auth.passwords import MAX_BYTES
from adiuva.web.wire import MaxBytes


@frozen(kw_only=True)
class DeleteRequest:
    """The password again: a login that somebody left open is not enough."""

    password: str = field(validator=MaxBytes(MAX_BYTES), repr=False)

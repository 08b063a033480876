"""Calls of Stripe that make something: once, whatever is repeated, lost or crashed."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from adiuva.billing import queries
from adiuva.billing.stripe import Object, RefusedError, UncertainError
from adiuva.database import Database

log = structlog.get_logger(__name__)

QUIET: Final = timedelta(minutes=5)
"""After which no call of Stripe that broke off is under way any more."""

Find = Callable[[], Awaitable[Object | None]]
"""Looks for the thing at Stripe, by what was given to it when it was made: a list, which knows all there is."""
Make = Callable[[str], Awaitable[Object]]
"""Makes the thing, with this idempotency key."""


class Calls:
    """Makes things at Stripe.

    The name of a thing is written down before it is made. Whoever finds it written down looks first whether the thing
    is there: Stripe forgets idempotency keys after a day, and brings a 500 back for as long as it knows the key. The
    key is there against those who try at the same time. It is exchanged only once the call it was used for has ended
    without making anything.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(self, name: str, *, find: Find, make: Make) -> Object:
        """The thing of this name: the one that is there, or a new one.

        Raises:
            UncertainError: nobody knows whether it was made: ask again.
            RefusedError: it was not made. Asked again, Stripe will decide anew.
        """
        async with self._database.acquire() as conn:
            call = await queries.begin_call(conn, name)
        if call.tries > 1 and (found := await find()) is not None:
            return found
        try:
            return await make(f"adiuva-{name}-{call.key_number}")
        except RefusedError:
            await self._use_up(name, call.key_number)
            raise
        except UncertainError as error:
            if error.replayed:
                # The first call with this key has ended; if it has made something, the next try finds it.
                await self._use_up(name, call.key_number)
            raise

    async def _use_up(self, name: str, key_number: int) -> None:
        async with self._database.acquire() as conn:
            await queries.use_up_key(conn, name, key_number)

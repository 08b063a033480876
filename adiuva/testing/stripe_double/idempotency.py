"""Idempotency keys: what was answered once is answered again, until the keys are pruned."""

from typing import Any

from attrs import define, field

from adiuva.testing.stripe_double.errors import ApiError


@define
class Saved:
    """The first call with a key; ``status`` 0 while it runs."""

    call: tuple[str, str, Any]
    status: int = 0
    body: Any = None


@define
class Keys:
    """The keys that have been used."""

    _saved: dict[str, Saved] = field(factory=dict)

    def begin(self, key: str, call: tuple[str, str, Any]) -> Saved | None:
        """None for a new key, which is now in use; else what it was answered.

        Raises:
            ApiError: the key belongs to another call, or to one that still runs.
        """
        saved = self._saved.get(key)
        if saved is None:
            self._saved[key] = Saved(call)
            return None
        if saved.call != call:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise ApiError(400, None, message, type="idempotency_error")
        if not saved.status:
            message = "There is currently another in-progress request using this Idempotent Key."
            raise ApiError(409, "idempotency_key_in_use", message)
        return saved

    def save(self, key: str, status: int, body: Any) -> None:
        """What the call was answered."""
        if key in self._saved:
            self._saved[key].status, self._saved[key].body = status, body

    def forget(self, key: str) -> None:
        """The call had not begun: its key can be used again."""
        self._saved.pop(key, None)

    def prune(self) -> None:
        """Forget all keys, as Stripe does after a day; those of calls that run are kept."""
        self._saved = {key: saved for key, saved in self._saved.items() if not saved.status}

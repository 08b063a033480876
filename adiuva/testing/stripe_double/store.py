"""What the double knows: objects by their ids, and the events that tell of their changes."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from attrs import define, field

from adiuva.testing.stripe_double.errors import missing

Object = dict[str, Any]


@define(kw_only=True)
class Store:
    """Objects and events; ``emit`` is called with each new event."""

    clock: Callable[[], float] = time.time
    base_url: str = ""  # of the pages that the double shows
    prices: dict[str, str | None] = field(factory=dict)  # id to lookup key
    minimum_cents: int = 50  # of a charge, in euros
    emit: Callable[[Object], None] = field(default=lambda _: None)
    objects: dict[str, Object] = field(factory=dict, init=False)
    events: list[Object] = field(factory=list, init=False)
    _numbers: Iterator[int] = field(factory=itertools.count, init=False)

    def now(self) -> int:
        """Stripe's time: whole seconds since 1970."""
        return int(self.clock())

    def add(self, prefix: str, kind: str, **values: Any) -> Object:
        """A new object."""
        key = f"{prefix}_{next(self._numbers):06}{secrets.token_hex(6)}"
        made = {"id": key, "object": kind, "created": self.now(), "livemode": False, "metadata": {}, **values}
        self.objects[key] = made
        return made

    def get(self, kind: str, key: str) -> Object:
        """The object with this id; 404 if there is none of that kind."""
        found = self.objects.get(key)
        if found is None or found["object"] != kind:
            raise missing(kind, key)
        return found

    def all(self, kind: str, **wanted: Any) -> list[Object]:
        """All objects of a kind with these values, the newest first."""
        return [
            item
            for item in reversed(self.objects.values())
            if item["object"] == kind
            and all(value is None or item.get(name) == value for name, value in wanted.items())
        ]

    def tell(self, kind: str, about: Object, *, previous: Object | None = None, account: str | None = None) -> Object:
        """An event about an object as it is now."""
        data: Object = {"object": deepcopy(about)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.add("evt", "event", type=kind, data=data, pending_webhooks=1, request=None)
        if account is not None:
            event["account"] = account
        self.events.append(event)
        self.emit(event)
        return event

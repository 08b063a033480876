"""Who acts, and what the log says of it."""

import getpass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from attrs import frozen

from adiuva.web.access import Principal


@frozen(kw_only=True)
class Actor:
    """Whoever does something as an admin; ``id`` is None at the command line, which needs no account."""

    id: UUID | None
    name: str

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """The admin behind a request."""
        return cls(id=principal.user_id, name=principal.email)

    @classmethod
    def at_the_command_line(cls) -> Self:
        """Whoever runs this process, by the name of the system's account."""
        try:
            account = getpass.getuser()
        except (KeyError, OSError):  # a container may run as a number without a name
            account = "unknown"
        return cls(id=None, name=f"command line: {account}")


@frozen(kw_only=True)
class AuditEntry:
    """One act: ``actor`` is the address or account as it was then, ``target`` what was acted on."""

    id: UUID
    created_at: datetime
    actor_id: UUID | None
    actor: str
    action: str  # plugin.approve, user.set_tier, …
    target: str
    details: dict[str, Any]

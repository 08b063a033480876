"""What the calls about accounts take and give."""

from datetime import datetime
from uuid import UUID

from attrs import field, frozen

from adiuva.auth.models import MAX_EMAIL_LENGTH
from adiuva.tiers import Tier
from adiuva.web.wire import Length


@frozen(kw_only=True)
class UserSearch:
    """Which accounts are asked for: those whose address has ``q`` in it, in whatever case, or whose id it is."""

    q: str = field(default="", validator=Length(max=MAX_EMAIL_LENGTH))


@frozen(kw_only=True)
class TierChange:
    """The tier that a user is to have without a payment."""

    tier: Tier


@frozen(kw_only=True)
class Account:
    """A user as admins see it."""

    id: UUID
    email: str
    tier: str  # the one in effect
    is_admin: bool
    created_at: datetime

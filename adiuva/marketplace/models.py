"""What the calls of the marketplace take and give, and the rows behind them."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from attrs import field, frozen

from adiuva.billing.purchases.models import Revenue
from adiuva.marketplace.submissions.versions import VERSION
from adiuva.sdk import Permission
from adiuva.web.wire import Constraint, Length, Pattern, Range

Sort = Literal["rating", "installs", "newest"]
Status = Literal["pending_review", "approved", "rejected", "withdrawn", "suspended"]

ID: Final = Pattern(r"[a-z0-9-]+", "lower-case letters, digits and hyphens")
CATEGORY: Final = Pattern(r"[a-z][a-z0-9_-]*", "lower-case letters, digits, hyphens and underscores, a letter first")
MAX_ID_LENGTH: Final = 64
MAX_CATEGORY_LENGTH: Final = 40
MAX_PRICE_CENTS: Final = 100_000
MAX_NOTES_LENGTH: Final = 10_000
MAX_PENDING: Final = 50  # of one author; more is no longer work that somebody wants reviewed

_ID: list[Constraint] = [Length(1, MAX_ID_LENGTH), ID]
_VERSION: list[Constraint] = [Length(1, 64), Pattern(VERSION, "a semantic version, such as 1.4.0")]
_SOME_PERMISSIONS: list[Constraint] = [Length(max=len(Permission))]
_CATEGORY: list[Constraint] = [Length(1, MAX_CATEGORY_LENGTH), CATEGORY]


@frozen(kw_only=True)
class Submission:
    """A manifest: what an author says of one version of a plugin."""

    id: str = field(validator=_ID)
    name: str = field(validator=Length(1, 80))
    description: str = field(validator=Length(1, 20_000))
    version: str = field(validator=_VERSION)
    category: str = field(validator=_CATEGORY)
    price_cents: int = field(validator=Range(0, MAX_PRICE_CENTS))
    permissions: list[Permission] = field(validator=_SOME_PERMISSIONS)


@frozen(kw_only=True)
class Search:
    """Which approved plugins are asked for: those that have all words of ``q`` in their id, name or description."""

    category: str | None = field(default=None, validator=_CATEGORY)
    q: str = field(default="", validator=Length(max=200))
    sort: Sort = "rating"


@frozen(kw_only=True)
class RatingRequest:
    """What a user thinks of a plugin."""

    stars: int = field(validator=Range(1, 5))


@frozen(kw_only=True)
class ReviewRequest:
    """An admin's decision; ``version`` and ``package_checksum`` say what was looked at, where it has to be that."""

    decision: Literal["approved", "rejected"]
    notes: str = field(default="", validator=Length(max=MAX_NOTES_LENGTH))
    version: str | None = None
    package_checksum: str | None = None


@frozen(kw_only=True)
class SuspendRequest:
    """Why an approved plugin must not go on."""

    notes: str = field(validator=Length(1, MAX_NOTES_LENGTH))


@frozen(kw_only=True)
class Plugin:
    """A plugin as the wire shows it, to one user: ``installed`` is that user's."""

    id: str
    name: str
    description: str
    version: str
    author_id: UUID | None  # None: Adiuva's own, or of an account that is gone
    category: str
    price_cents: int
    currency: str
    permissions: list[str]
    status: Status
    install_count: int
    avg_rating: float | None  # 1 to 5; None: nobody has rated it
    rating_count: int
    installed: bool
    created_at: datetime


@frozen(kw_only=True)
class InstalledPlugin(Plugin):
    """A plugin that the user has installed, and what it may do."""

    accepted_permissions: list[str]
    pending_permissions: list[str]  # what it asks for besides


@frozen(kw_only=True)
class Waiting(Plugin):
    """A plugin in the review queue. ``check_report`` is None until an admin has had the package checked."""

    package_checksum: str | None
    check_report: dict[str, Any] | None  # as `adiuva plugin check --json` prints it
    checked_at: datetime | None


@frozen(kw_only=True)
class InstallRequest:
    """What the user accepts; without it, what the plugin asks for at that moment, or what was accepted before."""

    accept_permissions: list[Permission] | None = field(default=None, validator=_SOME_PERMISSIONS)


@frozen(kw_only=True)
class Installation:
    """A plugin that a user has installed; ``revenue`` is what was paid for it, None where it was free."""

    plugin_id: str
    installed_at: datetime
    accepted_permissions: list[str]
    pending_permissions: list[str]  # what it asks for and does not have, until the user accepts that too
    revenue: Revenue | None


@frozen(kw_only=True)
class Rating:
    """What all users together think of a plugin."""

    avg_rating: float | None
    rating_count: int


@frozen(kw_only=True)
class Package:
    """The archive of a version. One that no admin has approved is for its author and admins only."""

    checksum: str
    size_bytes: int
    uploaded_at: datetime
    approved: bool


@frozen(kw_only=True)
class Review:
    """What an admin decided about a version."""

    decision: Literal["approved", "rejected"]
    notes: str
    created_at: datetime


@frozen(kw_only=True)
class Version:
    """A version as its author and admins see it; ``review`` is the last one."""

    version: str
    name: str
    description: str
    category: str
    price_cents: int
    permissions: list[str]
    status: Literal["pending_review", "approved", "rejected", "withdrawn", "superseded"]
    submitted_at: datetime
    package: Package | None
    review: Review | None


@frozen(kw_only=True)
class Held:
    """A plugin whose row is locked until the end of the transaction."""

    id: str
    author_id: UUID | None
    name: str
    version: str
    price_cents: int
    currency: str
    status: Status


@frozen(kw_only=True)
class Candidate:
    """A version that waits for a review, it or its package."""

    position: int
    version: str
    name: str
    status: str  # "approved": it is the package alone that waits
    package_checksum: str | None


@frozen(kw_only=True)
class Known:
    """A plugin that users know, and that no other may be confused with."""

    id: str
    name: str


@frozen(kw_only=True)
class Pending:
    """What waits for a review, as an operator sees it; ``author`` is the address."""

    id: str
    version: str
    name: str
    description: str
    author: str | None
    category: str
    price_cents: int
    currency: str
    permissions: list[str]
    submitted_at: datetime
    package_checksum: str | None
    package_size_bytes: int | None
    passed: bool | None  # whether a check of the package found no error; None: it was not checked

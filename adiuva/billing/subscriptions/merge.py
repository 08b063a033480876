"""What an event changes, where only the event tells: older ones never undo newer ones."""

from datetime import datetime
from enum import Enum

import attrs

from adiuva.billing.subscriptions.models import ENDED, Row


class Doubt(Enum):
    """The two happened within the same second: only Stripe knows which came last."""

    SAME_SECOND = "same second"


def merged(row: Row | None, told: Row, at: datetime) -> Row | Doubt:
    """The row after an event of time ``at`` that tells of a subscription; without doubt it stays where it is newer."""
    if row is None:
        return told
    if row.stripe_subscription_id is None:  # an admin's: only a subscription in force takes its place
        return told if told.live or not row.live else row
    if row.stripe_subscription_id != told.stripe_subscription_id:
        return _of_two(row, told, at)
    # No subscription comes back from its end.
    if row.status in ENDED:
        return row
    if told.status in ENDED or row.told_at is None or at > row.told_at:
        return attrs.evolve(told, told_at=max(at, row.told_at or at))
    if at == row.told_at and told != row:
        return Doubt.SAME_SECOND
    return row


def _of_two(row: Row, told: Row, at: datetime) -> Row:
    if told.live != row.live:
        return told if told.live else row
    return told if row.told_at is None or at > row.told_at else row


def past_due(row: Row | None, subscription: str | None, at: datetime) -> Row | None:
    """The row after a payment of its subscription failed."""
    if row is None or row.stripe_subscription_id is None or not row.live:
        return row
    if (subscription not in (None, row.stripe_subscription_id)) or (row.told_at and at < row.told_at):
        return row
    return attrs.evolve(row, status="past_due", told_at=at)

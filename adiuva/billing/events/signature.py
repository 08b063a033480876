"""Stripe's signature of a webhook (https://docs.stripe.com/webhooks#verify-manually).

Checked here and not by Stripe's library, which lets signatures from the future pass and takes long to load.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

from adiuva.errors import InvalidRequestError

TOLERANCE_SECONDS: Final = 300

_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_HEADER = 4096


class InvalidSignatureError(InvalidRequestError):
    """The signature is missing, wrong, or too far from the time now."""

    code = "invalid_signature"


def verify(payload: bytes, header: str, secrets: Iterable[str], now: float) -> None:
    """Check that one of ``secrets`` has signed the body, at most 300 s before or after ``now``.

    Raises:
        InvalidSignatureError: it has not.
    """
    if len(header) > _MAX_HEADER or not header.isascii():
        raise InvalidSignatureError
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise InvalidSignatureError
    signed = times[0].encode() + b"." + payload
    expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    found = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(found) or abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise InvalidSignatureError

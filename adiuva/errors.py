"""The error family. Actors, domains and plugins raise these; none of them knows HTTP.

Each class has a stable ``code`` that clients may rely on, and its docstring is the default message.
The one table from class to HTTP status is in ``adiuva.web.problems``.
"""

import inspect
from collections.abc import Sequence
from typing import ClassVar


class AdiuvaError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        """``message`` is shown to clients, so it never holds a secret or a prompt; ``retry_after`` is in seconds."""
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").split("\n")[0]
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidRequestError(AdiuvaError):
    """The request cannot be read."""

    code = "invalid_request"


class BrokenBodyError(InvalidRequestError):
    """The body ended early, or is not encoded as the headers say."""


class BodyTimeoutError(BrokenBodyError):
    """The body did not arrive in time."""

    code = "request_timeout"


class ChecksumMismatchError(InvalidRequestError):
    """The bytes that came are not those that the checksum tells of."""

    code = "checksum_mismatch"


class ValidationFailedError(AdiuvaError):
    """The request has fields that are missing or wrong."""

    code = "validation_failed"

    def __init__(self, errors: Sequence[tuple[str, str]], message: str | None = None) -> None:
        """``errors`` are pairs of a field (``context.tasks``) and what is wrong with it."""
        self.errors = tuple(errors)
        super().__init__(message)


class UnauthorizedError(AdiuvaError):
    """A valid access token is needed."""

    code = "unauthorized"


class InvalidCredentialsError(UnauthorizedError):
    """The e-mail address or the password is wrong."""

    code = "invalid_credentials"


class InvalidTokenError(UnauthorizedError):
    """The token is not valid, or has expired."""

    code = "invalid_token"


class TokenReusedError(UnauthorizedError):
    """This refresh token was spent before; the login it belongs to has been revoked."""

    code = "token_reused"


class ForbiddenError(AdiuvaError):
    """This is not allowed."""

    code = "forbidden"


class OriginNotAllowedError(ForbiddenError):
    """This origin may not open a socket here."""

    code = "origin_not_allowed"


class TierRequiredError(ForbiddenError):
    """This needs a higher tier."""

    code = "tier_required"


class PaymentRequiredError(AdiuvaError):
    """Your tier's share of this is used up."""

    code = "payment_required"


class CheckoutRequiredError(PaymentRequiredError):
    """This has to be paid for first."""

    def __init__(self, message: str | None = None, *, checkout_url: str | None = None) -> None:
        """``checkout_url`` is where the user pays; None where paying is not possible right now."""
        self.checkout_url = checkout_url
        super().__init__(message)


class QuotaExceededError(PaymentRequiredError):
    """There is no room for this in your tier's share of storage."""

    code = "quota_exceeded"


class NotFoundError(AdiuvaError):
    """There is no such thing here."""

    code = "not_found"


class MethodNotAllowedError(AdiuvaError):
    """This path does not know that method."""

    code = "method_not_allowed"


class ConflictError(AdiuvaError):
    """This conflicts with what is there already."""

    code = "conflict"


class EmailTakenError(ConflictError):
    """There is an account with this e-mail address already."""

    code = "email_taken"


class PreconditionFailedError(AdiuvaError):
    """This is no longer what the request expects it to be."""

    code = "precondition_failed"


class PayloadTooLargeError(AdiuvaError):
    """The body is larger than this server takes."""

    code = "payload_too_large"


class UnsupportedMediaTypeError(AdiuvaError):
    """The body has a content type that is not taken here."""

    code = "unsupported_media_type"


class RangeNotSatisfiableError(AdiuvaError):
    """The range lies outside of what there is."""

    code = "range_not_satisfiable"

    def __init__(self, size: int = 0) -> None:
        """``size`` is how many bytes there are."""
        self.size = size
        super().__init__()


class RateLimitedError(AdiuvaError):
    """Too many requests."""

    code = "rate_limited"


class UnavailableError(AdiuvaError):
    """Something that this server needs is not available right now."""

    code = "unavailable"


class OverloadedError(UnavailableError):
    """There is more to do than this server takes on at once; try again shortly."""

    code = "overloaded"


class GoingAwayError(UnavailableError):
    """The server is stopping; try again shortly."""

    code = "going_away"


class BlobStoreUnavailableError(UnavailableError):
    """The store that keeps blobs is not available right now; try again shortly."""

    code = "blob_store_unavailable"


class VectorStoreUnavailableError(UnavailableError):
    """The store that keeps vectors is not available right now; try again shortly."""

    code = "vector_store_unavailable"


class BlobDamagedError(AdiuvaError):
    """The stored bytes of this are not those that were stored."""

    code = "blob_damaged"


class BlobMissingError(BlobDamagedError):
    """The stored bytes of this are missing."""

    code = "blob_missing"


class DeadlineExceededError(AdiuvaError):
    """This took longer than its deadline."""

    code = "deadline_exceeded"


class LlmUnavailableError(AdiuvaError):
    """The language model did not answer."""

    code = "llm_unavailable"


class LlmTimeoutError(DeadlineExceededError):
    """The language model did not answer in time."""

    code = "llm_timeout"


class LlmNotConfiguredError(UnavailableError):
    """No language model is configured: set LLM_MODEL."""

    code = "llm_not_configured"

"""Making checks one after another, each in its own guard, and what comes of them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

import attrs
from attrs import field, frozen

from adiuva.errors import AdiuvaError
from adiuva.settings import Settings

CHECK_SECONDS: Final = 90.0  # a first call of LiteLLM, and a model that thinks
_SHORTEST_SECRET: Final = 6  # shorter ones are words that may stand anywhere
_KEYS_OF_OTHERS: Final = ("_API_KEY", "_SECRET_ACCESS_KEY", "_SESSION_TOKEN", "_ACCESS_TOKEN")

Level = Literal["ok", "warning", "fault"]
Check = Callable[[], Awaitable["Outcome"]]


@frozen
class Outcome:
    """What a check has found. A ``fault`` keeps the server, or a part of it, from working; ``remedy``: what to do."""

    level: Level
    message: str
    remedy: str = ""


@frozen(kw_only=True)
class Finding:
    """An outcome, and the check that it is of."""

    check: str
    level: Level
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """As JSON data."""
        return attrs.asdict(self)


class TroubleError(Exception):
    """A check has found a fault."""

    def __init__(self, message: str, remedy: str) -> None:
        self.outcome = Outcome("fault", message, remedy)
        super().__init__(message)


@frozen(kw_only=True)
class Checkup:
    """``checks`` by name, in the order in which they are made; ``mask`` takes secrets out of what they say."""

    checks: Mapping[str, Check]
    mask: Callable[[str], str] = field(repr=False)
    seconds: float = CHECK_SECONDS  # what each may take

    async def run(self) -> AsyncIterator[Finding]:
        """What each of them finds, as soon as it has."""
        for name, check in self.checks.items():
            outcome = await self._outcome(check)
            yield Finding(
                check=name,
                level=outcome.level,
                message=self.mask(outcome.message),
                remedy=self.mask(outcome.remedy),
            )

    async def _outcome(self, check: Check) -> Outcome:
        try:
            async with asyncio.timeout(self.seconds):
                return await check()
        except TroubleError as trouble:
            return trouble.outcome
        except TimeoutError:
            return Outcome("fault", f"No answer within {self.seconds:g} s.", "See whether it runs, and can be reached.")
        except AdiuvaError as error:
            return Outcome("fault", told(error), "See the server's log for more.")
        except Exception as error:  # noqa: BLE001 - one check that breaks does not end the others
            return Outcome("fault", f"The check itself failed: {type(error).__name__}: {error}", "Please report this.")


def told(error: BaseException) -> str:
    """What ``error`` says, and what was behind it."""
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is None or str(cause) in str(error):
        return str(error)
    return f"{error} ({type(cause).__name__}: {cause})"


def mask_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> Callable[[str], str]:
    """Takes the secrets of ``settings`` and of ``environ``, and passwords within their URLs, out of a text."""
    secrets: set[str] = set()
    for attribute in attrs.fields(Settings):
        if attribute.metadata.get("secret"):
            secrets |= _secrets_in(getattr(settings, attribute.name))
    secrets |= {value for name, value in environ.items() if name.endswith(_KEYS_OF_OTHERS)}
    found = sorted((secret for secret in secrets if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)

    def mask(text: str) -> str:
        for secret in found:
            text = text.replace(secret, "***")
        return text

    return mask


def _secrets_in(value: Any) -> set[str]:
    if not isinstance(value, str):
        return set()
    if "://" not in value:
        return {value}
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return {value}
    return {value, password, unquote(password)}

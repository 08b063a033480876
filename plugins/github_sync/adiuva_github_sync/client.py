"""GitHub's REST API, as https://docs.github.com/rest describes it: as much of it as issues need."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
from attrs import define, field, frozen

from adiuva.sdk import Context, ToolError, https_url
from adiuva_github_sync.cache import Cache, Kept
from adiuva_github_sync.refusals import refusal

BASE_URL: Final = "https://api.github.com"
HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "adiuva-github-sync/1.0.0",
}
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_PAGES: Final = 10
MAX_REDIRECTS: Final = 3
PAGE: Final = 100

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,512}")
_REDIRECTS: Final = frozenset({301, 302, 307, 308})


@frozen(kw_only=True)
class _Answer:
    body: Any = field(repr=False)
    following: str | None = field(repr=False)  # the URL of the next page


@define(kw_only=True)
class GitHub:
    """One user's GitHub, for one request. Whatever goes wrong is a `ToolError` that says what to do."""

    ctx: Context
    base_url: str
    token: str = field(repr=False)
    cache: Cache

    @classmethod
    def of(cls, ctx: Context, cache: Cache) -> "GitHub":
        """The GitHub of the request's settings.

        Raises:
            ToolError: there is no token, or one of the settings is not what it has to be.
        """
        token = ctx.settings.get("token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ToolError("The setting token is missing. Tell the user to give this plugin a GitHub token.")
        if ctx.http is None:
            raise ToolError("GitHub cannot be reached from here.")
        base_url = https_url(ctx.settings.get("base_url") or BASE_URL, name="base_url")
        return cls(ctx=ctx, base_url=base_url, token=token, cache=cache)

    async def get(self, path: str) -> dict[str, Any]:
        """The object at ``path``."""
        answer = await self._get(f"{self.base_url}{path}")
        return _as_object(answer.body)

    async def collect(
        self, path: str, query: Mapping[str, str], *, wanted: int, but: str = ""
    ) -> tuple[list[Any], bool]:
        """The first ``wanted`` objects at ``path`` that do not have the key ``but``; and whether there may be more."""
        size = PAGE if but else min(wanted, PAGE)
        url: str | None = f"{self.base_url}{path}?{urlencode({**query, 'per_page': str(size)})}"
        found: list[Any] = []
        for _ in range(MAX_PAGES):
            if url is None or len(found) > wanted:
                break
            answer = await self._get(url)
            if not isinstance(answer.body, list):
                raise _odd_answer()
            found += [each for each in answer.body if isinstance(each, dict) and not (but and but in each)]
            url = answer.following
        return found[:wanted], len(found) > wanted or url is not None

    async def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change something at GitHub; nothing is sent twice."""
        answer = await self._exchange(method, f"{self.base_url}{path}", body=body)
        return _as_object(answer.body)

    async def _get(self, url: str) -> _Answer:
        """With If-None-Match: an answer that has not changed does not count against the user's limit."""
        return await self._exchange("GET", url, kept=self.cache.get(self.token, url))

    async def _exchange(
        self, method: str, url: str, *, kept: Kept | None = None, body: Mapping[str, Any] | None = None
    ) -> _Answer:
        if until := self.cache.paused_until(self.token, self.base_url):
            raise refusal(429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(until))}, None, self.ctx)[0]
        headers = {**HEADERS, "Authorization": f"Bearer {self.token}"}
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        target = url
        try:
            for _ in range(1 + MAX_REDIRECTS):
                request = self.ctx.http.request(method, target, headers=headers, json=body, allow_redirects=False)
                async with request as response:
                    if response.status not in _REDIRECTS:
                        return await self._read(response, url, kept)
                    target = self._own(urljoin(target, response.headers.get("Location", "")))
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise _unreachable(method) from None
        raise ToolError("GitHub moves this from place to place without an end.")

    async def _read(self, response: aiohttp.ClientResponse, url: str, kept: Kept | None) -> _Answer:
        if response.status == 304 and kept is not None:
            return _Answer(body=kept.body, following=kept.following)
        body = await _json(response)
        if response.status not in (200, 201):
            error, until = refusal(response.status, response.headers, body, self.ctx)
            if until is not None:
                self.cache.pause(self.token, self.base_url, until)
            raise error
        link = response.links.get("next")
        following = None if link is None else self._own(str(link["url"]))
        if response.method == "GET" and (etag := response.headers.get("ETag")):
            self.cache.put(self.token, url, Kept(etag=etag, body=body, following=following))
        return _Answer(body=body, following=following)

    def _own(self, url: str) -> str:
        """``url``, if it is at the server that the token is for."""
        ours, theirs = urlsplit(self.base_url), urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise ToolError("GitHub refers to another server, which is not asked.")
        return url


async def _json(response: aiohttp.ClientResponse) -> Any:
    content = bytearray()
    async for piece in response.content.iter_chunked(64 * 1024):
        content += piece
        if len(content) > MAX_BODY_BYTES:
            raise ToolError("GitHub's answer is too large: ask for less.")
    try:
        return json.loads(content or b"null")
    except (ValueError, RecursionError):
        if response.status in (200, 201):
            raise _odd_answer() from None
        return None


def _as_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _odd_answer()
    return body


def _odd_answer() -> ToolError:
    return ToolError("What is at the setting base_url does not answer as GitHub does. Tell the user to correct it.")


def _unreachable(method: str) -> ToolError:
    """The same for an address that may not be called and for one where nobody answers: users are not to scan us."""
    if method == "GET":
        return ToolError("GitHub cannot be reached: it does not answer, or its address may not be called from here.")
    return ToolError("GitHub did not answer. It may have been done all the same: look before you try again.")

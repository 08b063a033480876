"""A GitHub in the test process: the part of its REST API that is about issues, as its documentation has it.

https://docs.github.com/rest: paging by Link headers, ETags, the primary and the secondary rate limit, redirects of
renamed repositories, and its errors.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from aiohttp import hdrs, web
from attrs import define, field, frozen
from yarl import URL

from adiuva.testing.listening import Listening

TOKEN = "github_pat_for_tests"
REPOSITORY = "octo/hello"


@frozen(kw_only=True)
class Seen:
    """A request that came in; ``status`` is what it was answered."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    status: int


def issue(number: int, title: str = "", **fields: Any) -> dict[str, Any]:
    """An issue as GitHub shows it."""
    return {
        "number": number,
        "title": title or f"Issue {number}",
        "state": "open",
        "body": f"Text of {number}",
        "labels": [],
        "assignees": [],
        "user": {"login": "octocat"},
        "comments": 0,
        "updated_at": "2025-11-20T10:00:00Z",
        "html_url": f"https://github.com/{REPOSITORY}/issues/{number}",
        **fields,
    }


@define(kw_only=True)
class GitHubDouble(Listening):
    """``async with GitHubDouble() as github``: serves the repository `REPOSITORY` at ``github.url``."""

    issues: dict[int, dict[str, Any]] = field(factory=dict)
    comments: dict[int, list[dict[str, Any]]] = field(factory=dict)
    limit: int = 5000
    used: int = 0  # of the primary rate limit
    reset: int = field(factory=lambda: int(time.time()) + 3600)
    renamed: dict[str, str] = field(factory=dict)  # from one full name to another
    without_issues: set[str] = field(factory=set)
    respond: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None  # in place of all else
    seen: list[Seen] = field(factory=list, init=False)

    @property
    def url(self) -> str:
        """What the setting ``base_url`` is set to."""
        return self.address

    def add(self, *issues: dict[str, Any]) -> None:
        """Add issues to the repository."""
        self.issues |= {each["number"]: each for each in issues}

    def make_app(self) -> web.Application:
        """The calls of the API."""
        app = web.Application(middlewares=[self._front])
        base = "/repos/{owner}/{name}/issues"
        app.router.add_get(base, self._list)
        app.router.add_get(base + "/{number}", self._get)
        app.router.add_patch(base + "/{number}", self._patch)
        app.router.add_get(base + "/{number}/comments", self._list_comments)
        app.router.add_post(base + "/{number}/comments", self._comment)
        return app

    # what holds for every request

    @web.middleware
    async def _front(self, request: web.Request, handler: Any) -> web.StreamResponse:
        response = await self._respond(request, handler)
        body = orjson.loads(await request.read() or b"null")
        path, headers = request.path_qs, request.headers.copy()
        self.seen.append(Seen(method=request.method, path=path, headers=headers, body=body, status=response.status))
        return response

    async def _respond(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.respond is not None and (response := await self.respond(request)) is not None:
            return response
        if not request.headers.get(hdrs.USER_AGENT):
            return _error(403, "Request forbidden by administrative rules.")
        if request.headers.get(hdrs.AUTHORIZATION) != f"Bearer {TOKEN}":
            return _error(401, "Bad credentials")
        if self.used >= self.limit:
            return self._counted(_error(403, "API rate limit exceeded for user ID 1."))
        try:
            response = await handler(request)
        except web.HTTPNotFound:
            response = _error(404, "Not Found")
        if request.method == "GET" and response.status == 200:
            assert isinstance(response.body, bytes)
            etag = f'W/"{hashlib.sha256(response.body).hexdigest()}"'
            if request.headers.get(hdrs.IF_NONE_MATCH) == etag:
                return self._counted(web.Response(status=304, headers={hdrs.ETAG: etag}))  # does not count
            response.headers[hdrs.ETAG] = etag
        self.used += 1
        return self._counted(response)

    def _counted(self, response: web.Response) -> web.Response:
        response.headers["X-RateLimit-Limit"] = str(self.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(self.limit - self.used, 0))
        response.headers["X-RateLimit-Reset"] = str(self.reset)
        response.headers["X-RateLimit-Resource"] = "core"
        return response

    # the calls

    async def _list(self, request: web.Request) -> web.Response:
        if (other := self._elsewhere(request)) is not None:
            return other
        query = request.query
        state, labels = query.get("state", "open"), set(filter(None, query.get("labels", "").split(",")))
        found = [
            each
            for _, each in sorted(self.issues.items(), reverse=True)
            if state in ("all", each["state"])
            and labels <= {label["name"] for label in each["labels"] if isinstance(label, dict)}
        ]
        return _page(request, found)

    async def _get(self, request: web.Request) -> web.Response:
        return self._elsewhere(request) or _json(self._issue(request))

    async def _patch(self, request: web.Request) -> web.Response:
        if (other := self._elsewhere(request)) is not None:
            return other
        found, body = self._issue(request), await request.json()
        if body.get("state") not in ("open", "closed"):
            return _error(422, "Validation Failed")
        found.update(body)
        return _json(found)

    async def _list_comments(self, request: web.Request) -> web.Response:
        if (other := self._elsewhere(request)) is not None:
            return other
        return _page(request, self.comments.get(self._issue(request)["number"], []))

    async def _comment(self, request: web.Request) -> web.Response:
        if (other := self._elsewhere(request)) is not None:
            return other
        number, body = self._issue(request)["number"], await request.json()
        if not body.get("body"):
            return _error(422, "Validation Failed")
        comments = self.comments.setdefault(number, [])
        url = f"https://github.com/{REPOSITORY}/issues/{number}#issuecomment-{len(comments) + 1}"
        comments.append({"user": {"login": "me"}, "body": body["body"], "html_url": url})
        return _json(comments[-1], status=201)

    def _elsewhere(self, request: web.Request) -> web.Response | None:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        if (new := self.renamed.get(name)) is not None:
            location = str(request.url.with_path(request.path.replace(name, new)).with_query(request.query))
            status = 301 if request.method == "GET" else 307
            return web.Response(status=status, headers={hdrs.LOCATION: location}, body=b'{"message":"Moved"}')
        if name in self.without_issues:
            return _error(410, "Issues are disabled for this repo")
        return None if name == REPOSITORY else _error(404, "Not Found")

    def _issue(self, request: web.Request) -> dict[str, Any]:
        number = request.match_info["number"]
        if not number.isdecimal() or int(number) not in self.issues:
            raise web.HTTPNotFound
        return self.issues[int(number)]


def _page(request: web.Request, found: list[dict[str, Any]]) -> web.Response:
    size = min(int(request.query.get("per_page", "30")), 100)
    page = max(int(request.query.get("page", "1")), 1)
    last = max(-(-len(found) // size), 1)
    links = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    if page >= last:
        del links["next"], links["last"]
    if page == 1:
        del links["first"], links["prev"]
    response = _json(found[(page - 1) * size : page * size])
    if links:
        response.headers[hdrs.LINK] = ", ".join(f'<{_at(request.url, to)}>; rel="{rel}"' for rel, to in links.items())
    return response


def _at(url: URL, page: int) -> URL:
    return url.update_query(page=str(page))


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return _json(body, status)

"""A Qdrant server in the test process: the REST calls that a vector store needs, carried out by its local mode.

It takes what Qdrant's own models take. The payload indexes that were asked for are in ``indexes``: local mode has none.
"""

import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from attrs import define, field
from qdrant_client import AsyncQdrantClient, models

from adiuva.testing.faulty import FaultyServer, app_of

API_KEY = "qdrant-double"


@define
class QdrantDouble:
    """``async with QdrantDouble().server as server``; what it keeps outlives a stop of the server."""

    client: AsyncQdrantClient = field(factory=lambda: AsyncQdrantClient(":memory:"), init=False)
    indexes: dict[str, Any] = field(factory=dict, init=False)  # by field name
    settings: dict[str, Any] = field(factory=dict, init=False)  # what the collection was made with
    server: FaultyServer = field(init=False)

    @server.default
    def _new_server(self) -> FaultyServer:
        return FaultyServer(self._app)

    def _app(self) -> web.Application:
        routes = (
            ("GET", "/collections/{name}/exists", self._exists),
            ("GET", "/collections/{name}", self._describe),
            ("PUT", "/collections/{name}", self._create),
            ("PUT", "/collections/{name}/index", self._index),
            ("PUT", "/collections/{name}/points", self._upsert),
            ("POST", "/collections/{name}/points", self._retrieve),
            ("POST", "/collections/{name}/points/query", self._query),
            ("POST", "/collections/{name}/points/delete", self._delete),
        )
        return app_of(routes, self._checked)

    def _checked(self, answer: Callable[[str, Any], Awaitable[Any]]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            if request.headers.get("api-key") != API_KEY:
                return web.Response(status=401, text="Must provide an API key")
            raw = await request.read()
            if request.method != "GET" and request.path.endswith(("/points", "/delete", "/index")):
                changing = request.method == "PUT" or request.path.endswith("/delete")
                assert not changing or request.query.get("wait") == "true", "the next call could miss it"
            try:
                result = await answer(request.match_info["name"], orjson.loads(raw or b"{}"))
            except ValueError as error:
                missing = "not found" in str(error)
                status = {"error": str(error)}
                return web.json_response({"status": status, "time": 0.0}, status=404 if missing else 400)
            return web.json_response({"result": result, "status": "ok", "time": 0.0})

        return handle

    async def _exists(self, name: str, _: Any) -> Any:
        return {"exists": await self.client.collection_exists(name)}

    async def _describe(self, name: str, _: Any) -> Any:
        return (await self.client.get_collection(name)).model_dump(mode="json")

    async def _create(self, name: str, body: Any) -> Any:
        wanted = models.CreateCollection.model_validate(body)
        self.settings = body
        return await self.client.create_collection(name, vectors_config=wanted.vectors)

    async def _index(self, name: str, body: Any) -> Any:
        wanted = models.CreateFieldIndex.model_validate(body)
        self.indexes[wanted.field_name] = body["field_schema"]
        with warnings.catch_warnings(action="ignore"):
            await self.client.create_payload_index(name, wanted.field_name, wanted.field_schema)
        return _DONE

    async def _upsert(self, name: str, body: Any) -> Any:
        await self.client.upsert(name, models.PointsList.model_validate(body).points)
        return _DONE

    async def _retrieve(self, name: str, body: Any) -> Any:
        wanted = models.PointRequest.model_validate(body)
        points = await self.client.retrieve(name, wanted.ids, with_payload=wanted.with_payload or False)
        return [point.model_dump(mode="json") for point in points]

    async def _query(self, name: str, body: Any) -> Any:
        wanted = models.QueryRequest.model_validate(body)
        assert wanted.filter is not None, "a search over all users"
        found = await self.client.query_points(
            name,
            query=wanted.query.nearest if isinstance(wanted.query, models.NearestQuery) else wanted.query,
            query_filter=wanted.filter,
            limit=wanted.limit or 10,
            with_payload=wanted.with_payload or False,
        )
        return found.model_dump(mode="json")

    async def _delete(self, name: str, body: Any) -> Any:
        selector = models.FilterSelector if "filter" in body else models.PointIdsList
        await self.client.delete(name, selector.model_validate(body))
        return _DONE


_DONE = {"operation_id": 1, "status": "completed"}

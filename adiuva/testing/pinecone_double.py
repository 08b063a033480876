"""Pinecone in the test process: the part of its API that a vector store needs, as its documentation has it.

It refuses what the real one refuses: a request without its headers, of another shape, or over a limit. What it refused
is in ``faults``, so that a test can tell that nothing was.
"""

import math
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from attrs import define, field

from adiuva.testing.faulty import FaultyServer, app_of

API_KEY = "pcsk_double"
API_VERSION = "2026-07"

_MAX_RECORDS = 1000
_MAX_REQUEST_BYTES = 2 * 2**20
_MAX_METADATA_BYTES = 40 * 2**10
_MAX_ANSWER_BYTES = 4 * 2**20
_MAX_NAME = 512  # characters, of an id or a namespace
_MAX_IDS = 1000
_MAX_TOP_K = 10_000

Record = dict[str, Any]


class RefusedError(Exception):
    """Pinecone would refuse this; ``args`` are the HTTP status and what is wrong."""


@define(kw_only=True)
class PineconeDouble:
    """``async with PineconeDouble().server as server``: both planes at ``server.url``, with one index."""

    index: str = "adiuva"
    dimension: int = 32
    namespaces: dict[str, dict[str, Record]] = field(factory=dict, init=False)
    faults: list[str] = field(factory=list, init=False)
    server: FaultyServer = field(init=False)

    @server.default
    def _new_server(self) -> FaultyServer:
        return FaultyServer(self._app)

    def _app(self) -> web.Application:
        routes = (
            ("GET", "/indexes/{name}", self._describe),
            ("POST", "/describe_index_stats", self._stats),
            ("POST", "/vectors/upsert", self._upsert),
            ("POST", "/query", self._query),
            ("GET", "/vectors/fetch", self._fetch),
            ("POST", "/vectors/delete", self._delete),
        )
        return app_of(routes, self._checked)

    def _checked(self, answer: Callable[[web.Request, bytes], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            try:
                raw = await request.read()
                _check_headers(request)
                body = orjson.dumps(answer(request, raw))
                _require(len(body) <= _MAX_ANSWER_BYTES, "the answer is over 4 MB")
            except RefusedError as error:
                status, message = error.args
                if status != 404:  # what is not there is no fault of the caller
                    self.faults.append(f"{request.method} {request.path}: {message}")
                return web.json_response({"code": 3, "message": message, "details": []}, status=status)
            return web.Response(body=body, content_type="application/json")

        return handle

    def _describe(self, request: web.Request, _: bytes) -> Any:
        if request.match_info["name"] != self.index:
            raise RefusedError(404, "no such index")
        field_ = {"type": "dense_vector", "dimension": self.dimension, "metric": "cosine"}
        return {
            "name": self.index,
            "host": self.server.url,
            "schema": {"fields": {"_values": field_}},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
            "deletion_protection": "disabled",
            "read_capacity": {"mode": "OnDemand", "status": {"state": "Ready"}},
            "status": {"ready": True, "state": "Ready"},
            "tags": None,
        }

    def _stats(self, _: web.Request, __: bytes) -> Any:
        return {
            "namespaces": {name: {"vectorCount": len(records)} for name, records in self.namespaces.items()},
            "dimension": self.dimension,
            "indexFullness": 0,
            "totalVectorCount": sum(map(len, self.namespaces.values())),
            "metric": "cosine",
            "vectorType": "dense",
        }

    def _upsert(self, _: web.Request, raw: bytes) -> Any:
        _require(len(raw) <= _MAX_REQUEST_BYTES, "the request is over 2 MB")
        body = _object(raw, {"vectors": list, "namespace": str})
        _require(1 <= len(body["vectors"]) <= _MAX_RECORDS, "1 to 1,000 vectors")
        for record in body["vectors"]:
            _require(set(record) <= {"id", "values", "sparseValues", "metadata"}, f"unknown fields: {sorted(record)}")
            _check_name(record["id"])
            self._check_vector(record["values"])
            _check_metadata(record.get("metadata", {}))
        records = self.namespaces.setdefault(_namespace(body["namespace"]), {})
        records.update({record["id"]: record for record in body["vectors"]})
        return {"upsertedCount": len(body["vectors"])}

    def _query(self, _: web.Request, raw: bytes) -> Any:
        shape = {"topK": int, "vector": list, "includeValues": bool, "includeMetadata": bool, "namespace": str}
        body = _object(raw, shape)
        _require(1 <= body["topK"] <= _MAX_TOP_K, "topK is 1 to 10,000")
        self._check_vector(body["vector"])
        scored = [
            (_cosine(body["vector"], record["values"]), record)
            for record in self.namespaces.get(_namespace(body["namespace"]), {}).values()
        ]
        scored.sort(key=lambda pair: -pair[0])
        matches = [
            {
                "id": record["id"],
                "score": score,
                "values": record["values"] if body["includeValues"] else [],
                **({"metadata": record.get("metadata", {})} if body["includeMetadata"] else {}),
            }
            for score, record in scored[: body["topK"]]
        ]
        return {"matches": matches, "namespace": body["namespace"], "usage": {"readUnits": 1}}

    def _fetch(self, request: web.Request, _: bytes) -> Any:
        ids, namespace = request.query.getall("ids", []), request.query.get("namespace", "")
        _require(1 <= len(ids) <= _MAX_IDS, "1 to 1,000 ids")
        records = self.namespaces.get(_namespace(namespace), {})
        found = {name: records[name] for name in ids if name in records}
        return {"vectors": found, "namespace": namespace, "usage": {"readUnits": 1}}

    def _delete(self, _: web.Request, raw: bytes) -> Any:
        body = orjson.loads(raw)
        _require(("ids" in body) != (body.get("deleteAll") is True), "either ids or deleteAll")
        namespace = _namespace(body.get("namespace", ""))
        if namespace not in self.namespaces:
            raise RefusedError(404, "Namespace not found")
        if "ids" not in body:
            del self.namespaces[namespace]
            return {}
        _require(1 <= len(body["ids"]) <= _MAX_IDS, "1 to 1,000 ids")
        for name in body["ids"]:
            self.namespaces[namespace].pop(name, None)
        return {}

    def _check_vector(self, values: list[Any]) -> None:
        _require(len(values) == self.dimension, f"the vector has {len(values)} dimensions, not {self.dimension}")
        _require(all(type(value) in {int, float} for value in values), "a value is no number")
        _require(any(values), "Dense vectors must contain at least one non-zero value")


def _check_headers(request: web.Request) -> None:
    if request.headers.get("Api-Key") != API_KEY:
        raise RefusedError(401, "Invalid API Key")
    _require(request.headers.get("X-Pinecone-Api-Version") == API_VERSION, "another version of the API")
    if request.method == "POST":
        _require(request.content_type == "application/json", "no JSON")


def _object(raw: bytes, shape: dict[str, type]) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(raw)
    _require(set(body) == set(shape), f"fields are {sorted(body)}, not {sorted(shape)}")
    for name, kind in shape.items():
        _require(type(body[name]) is kind, f"{name} is no {kind.__name__}")
    return body


def _check_name(name: str) -> None:
    _require(1 <= len(name) <= _MAX_NAME and name.isascii() and "\x00" not in name, "an id or namespace is no name")


def _namespace(name: str) -> str:
    _check_name(name or "__default__")
    return name or "__default__"


def _check_metadata(metadata: dict[str, Any]) -> None:
    _require(len(orjson.dumps(metadata)) <= _MAX_METADATA_BYTES, "metadata is over 40 KB")
    for value in metadata.values():
        _require(isinstance(value, str | int | float | bool | list), "metadata is text, numbers, booleans or lists")


def _cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / (math.hypot(*one) * math.hypot(*other))


def _require(well: bool, message: str) -> None:
    if not well:
        raise RefusedError(400, message)

import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import orjson
import pytest
from aiohttp.test_utils import TestClient
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from adiuva.app import create_app
from adiuva.chat.frames import Done, Failed
from adiuva.chat.messages import ChatResponse, ChatResult
from adiuva.chat.registry import AgentRegistry
from adiuva.chat.service import wire_result
from adiuva.errors import AdiuvaError
from adiuva.llm.protocol import Usage
from adiuva.settings import Settings
from adiuva.web import problems, wire
from adiuva.web.describe import Answer, Body, Listing, Parameter
from adiuva.web.openapi.document import errors_of, make_document
from adiuva.web.openapi.schemas import Schemas
from adiuva.web.problems import STATUS
from adiuva.web.routes import ROUTES, Route
from adiuva.web.wire import Described, Length, MaxBytes, Pattern, Range
from tests.web.conftest import Client, ProblemServer
from tools import api_reference

DEV = create_app(Settings(jwt_secret="x" * 32), registry=AgentRegistry())
TABLE = DEV[ROUTES]
SPEC: dict[str, Any] = orjson.loads(wire.dump(make_document(TABLE, "0.1.0")))
COMPONENTS = SPEC["components"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in SPEC["paths"].items():
        for method, operation in found.items():
            yield method.upper(), path, operation


def resolved(thing: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in thing:
        return thing
    found: Any = SPEC
    for key in thing["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": COMPONENTS}
    return [error.message for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)]


def test_it_is_an_openapi_3_1_document() -> None:
    assert SPEC["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(SPEC).iter_errors()] == []
    for schema in COMPONENTS["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_it_has_every_route_that_is_registered_and_no_other() -> None:
    reachable = {(route.method, route.resource.canonical) for route in DEV.router.routes() if route.resource}
    assert {(method, path) for method, path, _ in operations()} == {
        route for route in reachable if route[0] != "OPTIONS"
    }


def test_only_public_routes_need_no_token() -> None:
    for method, path, operation in operations():
        is_public = TABLE[method, path].access == "public"
        assert operation["security"] == ([] if is_public else [{"bearer": []}])
        assert is_public or "401" in operation["responses"]


def test_every_call_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    assert all(operation["summary"].endswith(".") for _, _, operation in operations())


def test_every_call_says_how_it_succeeds() -> None:
    silent = [
        (method, path)
        for method, path, operation in operations()
        if not any(int(status) < 400 for status in operation["responses"])
    ]
    assert silent == []


def test_every_call_tells_of_every_variable_of_its_path() -> None:
    for _, path, operation in operations():
        told = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
        assert told == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize(
    "key", [key for key, route in TABLE.items() if "read_json" in inspect.getsource(route.handler)]
)
def test_every_call_that_reads_json_has_a_body_of_that_class(key: tuple[str, str]) -> None:
    route = TABLE[key]
    assert route.body is not None
    (name,) = re.findall(r"read_json\(request, (\w+)", inspect.getsource(route.handler))
    assert name == ("Any" if isinstance(route.body.kind, dict) else route.body.kind.__name__)


@pytest.mark.parametrize(
    "key",
    [key for key, route in TABLE.items() if route.body and isinstance(route.body.kind, type)],
    ids=" ".join,
)
def test_the_example_of_a_body_is_valid_and_the_server_takes_it(key: tuple[str, str]) -> None:
    method, path = key
    ((_, content),) = SPEC["paths"][path][method.lower()]["requestBody"]["content"].items()
    assert faults(content["schema"], content["example"]) == []
    body = TABLE[key].body
    assert body is not None
    assert isinstance(wire.read(body.kind, json.dumps(content["example"]).encode()), body.kind)


@pytest.mark.parametrize("key", list(TABLE), ids=" ".join)
def test_the_examples_of_answers_are_valid(key: tuple[str, str]) -> None:
    method, path = key
    for status, reference in SPEC["paths"][path][method.lower()]["responses"].items():
        for media, content in resolved(reference).get("content", {}).items():
            examples = [each["value"] for each in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples or "json" not in media, (status, media)
            for example in examples:
                assert faults(content["schema"], example) == [], (status, example)


def test_every_class_that_is_answered_is_described_by_its_fields() -> None:
    for route in TABLE.values():
        for answer in route.answers.values():
            kind = answer.kind.item if isinstance(answer.kind, Listing) else answer.kind
            if isinstance(kind, type) and attrs.has(kind):
                schema = next(
                    schema
                    for name, schema in COMPONENTS["schemas"].items()
                    if name.endswith(kind.__name__) and set(schema["properties"]) == set(attrs.fields_dict(kind))
                )
                assert schema["description"].endswith(".")


def test_every_error_that_a_call_may_answer_is_there_with_its_status_and_code() -> None:
    for (method, path), route in TABLE.items():
        responses = SPEC["paths"][path][method.lower()]["responses"]
        for error in errors_of(route):
            status = next(STATUS[cls] for cls in error.__mro__ if cls in STATUS)
            form = route.error_form
            shown = resolved(responses[str(form.statuses.get(status, status) if form else status)])
            ((media, content),) = shown["content"].items()
            assert media == ("application/json" if form else "application/problem+json")
            assert error.code in content["examples"]
            if form is None:
                assert error.code in content["schema"]["allOf"][1]["properties"]["code"]["enum"]


def test_every_error_of_the_domains_is_in_the_document() -> None:
    # Those of the socket, the command line, the inside of billing, and of single items of batches have no answer.
    elsewhere = {
        "conflict",
        "deadline_exceeded",
        "dependency_failed",
        "invalid_plan",
        "method_not_allowed",
        "stripe_not_configured",
    }
    codes = {error.code for route in TABLE.values() for error in errors_of(route)}
    modules = ("adiuva.errors", "adiuva.storage.errors", "adiuva.marketplace.errors", "adiuva.billing.errors")
    known = {
        cls.code for cls in _descendants(AdiuvaError) if cls.__module__ in (*modules, "adiuva.chat.batches.errors")
    }
    assert known - codes == elsewhere & known


def _descendants(cls: type[AdiuvaError]) -> Iterator[type[AdiuvaError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


WORD: list[wire.Constraint] = [Length(max=9), Pattern("[a-z]+|x", "lower case")]


@attrs.frozen(kw_only=True)
class Sample:
    """A class of every constraint."""

    name: str = attrs.field(validator=Length(1, 5))
    tags: list[str] = attrs.field(validator=Length(max=2))
    word: str = attrs.field(validator=WORD)
    secret: str = attrs.field(validator=MaxBytes(8))
    stars: int = attrs.field(default=3, validator=Range(1, 5))
    own: str | None = attrs.field(default=None, validator=Described(lambda *_: None, {"format": "email"}))


def test_constraints_of_fields_stand_in_the_schema() -> None:
    schemas = Schemas()
    assert schemas.of(Sample, answer=False) == {"$ref": "#/components/schemas/Sample"}
    sample = schemas.components["Sample"]
    assert sample["required"] == ["name", "tags", "word", "secret"]
    assert sample["properties"] == {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "word": {"type": "string", "maxLength": 9, "pattern": "^(?:[a-z]+|x)$", "description": "lower case."},
        "secret": {"type": "string", "maxLength": 8, "description": "At most 8 bytes in UTF-8."},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
        "own": {"type": ["string", "null"], "format": "email"},
    }


def test_a_constraint_that_no_document_could_tell_of_is_an_error() -> None:
    @attrs.frozen
    class Silent:
        name: str = attrs.field(validator=lambda *_: None)

    with pytest.raises(TypeError, match="make it a Described"):
        Schemas().of(Silent, answer=False)


def test_one_name_of_two_classes_gets_its_domain_before_it() -> None:
    assert {"DeleteRequest", "VectorsDeleteRequest", "Usage", "StorageUsage"} <= set(COMPONENTS["schemas"])


def test_a_route_describes_itself_and_is_counted_where_it_is() -> None:
    async def handler(_: Any) -> Any:
        """Do it."""

    handler.__module__ = "adiuva.health"
    route = Route(
        "PUT",
        "/things/{id}",
        handler,
        parameters=(Parameter("X-Mood", {"type": "string"}, where="header", required=True),),
        body=Body(Sample, {"name": "a"}),
        answers={200: Answer(Sample)},
    )
    said = make_document({("PUT", "/api/things/{id}"): route}, "1")["paths"]["/api/things/{id}"]["put"]
    assert said["summary"] == "Do it."
    assert [(each["name"], each["in"], each["required"]) for each in said["parameters"]] == [
        ("id", "path", True),
        ("X-Mood", "header", True),
    ]
    assert {"RateLimit-Remaining", "X-Request-ID"} <= set(said["responses"]["200"]["headers"])
    assert set(said["responses"]) == {*("200", "400", "401", "404", "408", "413", "415", "422", "429", "500", "503")}


async def test_the_document_is_for_everyone_and_read_again_only_when_it_has_changed(
    bare: Callable[..., Awaitable[Client]],
) -> None:
    client = await bare()
    answer = await client.get("/api/v1/openapi.json")
    body = await answer.read()
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
    assert set(orjson.loads(body)["paths"]) == set(SPEC["paths"])
    again = await client.get("/api/v1/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]
    assert (await client.get("/api/v1/openapi.json", headers={"If-None-Match": '"other"'})).status == 200


async def test_the_page_is_there_in_dev_whole_and_under_a_policy_that_lets_in_nothing_else(
    bare: Callable[..., Awaitable[Client]],
) -> None:
    answer = await (await bare()).get("/docs")
    text = await answer.text()
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert "https://" not in text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) > 1000
        digest = hashlib.sha256(inside.encode()).digest()
        assert f"{directive} 'sha256-{orjson.loads(wire.dump(digest))}'" in policy


async def test_the_page_is_not_there_in_prod_and_the_document_is(bare: Callable[..., Awaitable[Client]]) -> None:
    client = await bare(env="prod")
    assert (await client.get("/docs")).status == 404
    answer = await client.get("/api/v1/openapi.json")
    assert answer.status == 200
    assert "/docs" not in (await answer.json())["paths"]


@pytest.mark.parametrize("name", ["api.md", "websocket.md"])
def test_the_pages_of_the_reference_are_up_to_date(name: str) -> None:
    stands = (api_reference.DOCS / name).read_text() == api_reference.pages()[name]
    assert stands, f"docs/{name} is out of date: .venv/bin/python -m tools.api_reference"


def test_frames_that_the_server_makes_by_hand_are_those_that_are_described() -> None:
    usage = Usage()
    done = {"type": "done", "done": True, **wire_result(ChatResult(response="a", usage=usage))}
    assert set(done) == set(attrs.fields_dict(Done))
    assert set(wire_result(ChatResult(response="a", usage=usage))) == set(attrs.fields_dict(ChatResponse))
    assert set(problems.frame(AdiuvaError("x"))) == set(attrs.fields_dict(Failed))


@pytest.fixture
def bare(
    aiohttp_client: Callable[[ProblemServer], Awaitable[TestClient[Any, Any]]],
) -> Callable[..., Awaitable[Client]]:
    """The whole server without anything that it needs: what it answers then needs nothing."""

    async def start(**settings: Any) -> Client:
        app = create_app(Settings(jwt_secret="x" * 32, **settings), registry=AgentRegistry())
        app.cleanup_ctx.clear()
        app.on_shutdown.clear()
        return await aiohttp_client(ProblemServer(app))

    return start

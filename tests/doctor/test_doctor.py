"""``adiuva doctor``, against parts that work and parts that do not."""

import asyncio
import logging
import resource
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from click.testing import CliRunner, Result

from adiuva import clock
from adiuva.cli import main
from adiuva.doctor.checkup import Checkup, Finding, Outcome, mask_of
from adiuva.doctor.command import CHECKS
from adiuva.settings import Settings
from adiuva.testing import openai_double as reply
from adiuva.testing.openai_double import OpenAIDouble
from adiuva.testing.qdrant_double import API_KEY, QdrantDouble
from adiuva.testing.redis import RedisServer
from adiuva.testing.s3 import S3Server
from adiuva.testing.serving import Served
from adiuva.testing.stripe_double import StripeDouble
from tests.distributions import put_distribution

Doctor = Callable[..., Awaitable[Result]]


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command's own setting of the log is for a process of its own."""
    monkeypatch.setattr("adiuva.logs.configure_logging", lambda **_: None)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _quiet: None) -> Doctor:
    """``adiuva doctor`` with these variables; in a thread, since it has a loop of its own."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", *(name.upper() for name in Settings.__annotations__)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PORT", "0")

    async def run(*arguments: str, **environ: str) -> Result:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return await asyncio.to_thread(CliRunner().invoke, main, ["doctor", *arguments])

    return run


def finding(result: Result) -> dict[str, str]:
    """The one finding of a run with ``--json``."""
    document = orjson.loads(result.stdout)
    [found] = document["findings"]
    assert document["passed"] is (found["level"] != "fault") is (result.exit_code == 0)
    return dict(found)


async def only(doctor: Doctor, check: str, **environ: str) -> dict[str, str]:
    return finding(await doctor("--json", "--only", check, **environ))


async def test_on_a_bare_machine_nothing_is_wrong_but_the_model(doctor: Doctor, tmp_path: Path) -> None:
    result = await doctor()
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"{len(CHECKS)} checks: 0 faults, 1 warnings"
    assert "Embedded PostgreSQL, which the first start makes." in result.output
    assert "warning  model      The offline stand-in answers" in result.output
    assert not (tmp_path / "data" / "postgres").exists()
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []


async def test_beside_a_running_server_it_shares_what_that_holds(
    serve: Callable[..., Served], doctor: Doctor, tmp_path: Path
) -> None:
    served = serve(DATA_DIR=str(tmp_path / "data"))
    _, tokens = served.call("POST", "/auth/register", {"email": "a@b.example", "password": "correct horse"})
    port = served.url.rpartition(":")[2]
    result = await doctor("--skip", "model", "--skip", "plugins", PORT=port)
    assert result.exit_code == 0, result.output
    assert f"Adiuva 0.1.0 answers on 127.0.0.1:{port}." in result.output
    assert "schema up to date." in result.output
    assert "The database's clock differs by" in result.output
    assert served.call("GET", "/auth/me", token=tokens["access_token"])[0] == 200


async def test_wrong_settings_are_told_all_at_once_and_nothing_else_is_tried(doctor: Doctor) -> None:
    result = await doctor(VECTOR_DIMENSIONS="many", ENV="prod", JWT_SECRET="hunter2")
    assert result.exit_code == 1
    assert "VECTOR_DIMENSIONS='many'" in result.output
    assert "JWT_SECRET" in result.output
    assert "hunter2" not in result.output
    assert result.stdout.endswith("1 checks: 1 faults, 0 warnings\n")


def test_only_checks_that_there_are_can_be_asked_for() -> None:
    result = CliRunner().invoke(main, ["doctor", "--only", "spleen"])
    assert result.exit_code == 2
    assert "'spleen' is not one of" in result.output


# What comes of a check


async def findings(**checks: Any) -> list[Finding]:
    return [found async for found in Checkup(checks=checks, mask=lambda text: text, seconds=0.05).run()]


async def test_a_check_that_breaks_or_hangs_does_not_end_the_others() -> None:
    async def breaks() -> Outcome:
        raise KeyError("spleen")

    async def hangs() -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    async def works() -> Outcome:
        return Outcome("ok", "Fine.")

    found = await findings(breaks=breaks, hangs=hangs, works=works)
    assert [(each.check, each.level) for each in found] == [("breaks", "fault"), ("hangs", "fault"), ("works", "ok")]
    assert found[1].message == "No answer within 0.05 s."


def test_secrets_and_passwords_within_urls_are_masked() -> None:
    settings = Settings(
        database_url="postgresql://ada:p%40ssword@db/adiuva", stripe_secret_key="sk_live_canary", llm_model="openai/x"
    )
    mask = mask_of(settings, {"OPENAI_API_KEY": "key-of-openai", "HOME": "/home/ada"})
    text = "postgresql://ada:p%40ssword@db/adiuva, p@ssword, sk_live_canary, key-of-openai, /home/ada, openai/x"
    assert mask(text) == "***, ***, ***, ***, /home/ada, openai/x"


# Stores


async def test_a_database_that_is_away_is_a_fault_and_its_password_is_not_told(doctor: Doctor) -> None:
    found = await only(doctor, "database", DATABASE_URL="postgresql://ada:opensesame@127.0.0.1:1/adiuva")
    assert found["level"] == "fault"
    assert found["remedy"] == "Start PostgreSQL, or correct DATABASE_URL."
    assert "opensesame" not in str(found)


async def test_a_schema_that_is_behind_needs_migrating(doctor: Doctor, empty_database_url: str) -> None:
    found = await only(doctor, "database", DATABASE_URL=empty_database_url)
    assert found["level"] == "fault"
    assert "the schema lacks" in found["message"]
    assert found["remedy"] == "Run `adiuva migrate`."


async def test_a_database_in_order(doctor: Doctor, database_url: str) -> None:
    found = await only(doctor, "database", DATABASE_URL=database_url)
    assert found["level"] == "ok"
    assert found["message"].startswith("PostgreSQL at DATABASE_URL, version 1")


async def test_a_database_that_is_too_old(doctor: Doctor, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adiuva.doctor.stores.OLDEST_POSTGRES", 990000)
    found = await only(doctor, "database", DATABASE_URL=database_url)
    assert (found["level"], found["remedy"]) == ("fault", "Use PostgreSQL 14 or newer.")


async def test_a_folder_that_cannot_be_written_keeps_no_blobs(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "blobs").write_text("a file where a folder should be")
    found = await only(doctor, "blobs")
    assert found["level"] == "fault"
    assert "writable" in found["remedy"]


async def test_a_bucket_that_works_is_left_empty(doctor: Doctor, s3_server: S3Server) -> None:
    found = await only(doctor, "blobs", S3_BUCKET=s3_server.bucket, S3_ENDPOINT_URL=s3_server.url)
    assert found["level"] == "ok"
    assert found["message"] == f"Written, read and deleted: bucket {s3_server.bucket}."
    assert "Contents" not in s3_server.client().list_objects_v2(Bucket=s3_server.bucket)


async def test_a_bucket_that_is_not_there(doctor: Doctor, s3_server: S3Server) -> None:
    prod = {"ENV": "prod", "JWT_SECRET": "2f7c" * 16 + "0123456789abcdef"}  # where none is made
    found = await only(doctor, "blobs", S3_BUCKET=s3_server.bucket, S3_ENDPOINT_URL=s3_server.url, **prod)
    assert found["level"] == "fault"
    assert "that the bucket exists" in found["remedy"]


async def test_a_qdrant_that_works_one_of_other_dimensions_and_one_that_is_away(doctor: Doctor) -> None:
    double = QdrantDouble()
    async with double.server as server:
        remote = {"QDRANT_URL": server.url, "QDRANT_API_KEY": API_KEY}
        assert (await only(doctor, "vectors", **remote))["level"] == "ok"
        assert (await double.client.count("adiuva")).count == 0
        other = await only(doctor, "vectors", VECTOR_DIMENSIONS="8", **remote)
        assert other["level"] == "fault"
        assert "same VECTOR_DIMENSIONS" in other["remedy"]
    away = await only(doctor, "vectors")
    assert away["level"] == "fault"
    assert "QDRANT_URL answers" in away["remedy"]


async def test_vectors_that_a_running_server_holds_are_no_fault(doctor: Doctor, tmp_path: Path) -> None:
    from qdrant_client import QdrantClient

    (tmp_path / "data").mkdir()
    holder = QdrantClient(path=str(tmp_path / "data" / "vectors"))
    found = await only(doctor, "vectors")
    holder.close()
    assert found["level"] == "ok"
    assert "in use by the running server" in found["message"]


async def test_shared_limits_that_answer_and_that_do_not(doctor: Doctor, redis: RedisServer) -> None:
    assert (await only(doctor, "limits", RATE_LIMIT_STORAGE_URL=redis.url))["message"] == "The shared counts answer."
    redis.stop()
    found = await only(doctor, "limits")
    assert found["level"] == "fault"
    assert found["remedy"].startswith("Start Redis")


async def test_shared_limits_that_are_away(doctor: Doctor) -> None:
    found = await only(doctor, "limits", RATE_LIMIT_STORAGE_URL="async+redis://127.0.0.1:1")
    assert found["level"] == "fault"
    assert found["message"].startswith("The storage of the rate limits does not answer.")


async def test_a_clock_that_is_wrong(doctor: Doctor, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = clock.now
    monkeypatch.setattr("adiuva.doctor.stores.clock.now", lambda: right() - timedelta(minutes=10))
    found = await only(doctor, "clock", DATABASE_URL=database_url)
    assert found["level"] == "fault"
    assert found["message"] == "The database's clock is 600 s ahead of this machine's."


@pytest.mark.parametrize(
    "free, level", [(2**20, "fault"), (3 * 2**29, "warning"), (2**40, "ok")], ids=["full", "tight", "room"]
)
async def test_room_on_the_disk(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert (await only(doctor, "disk"))["level"] == level


# Services


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


async def model(doctor: Doctor, double: OpenAIDouble, **environ: str) -> dict[str, str]:
    return await only(doctor, "model", LLM_MODEL="openai/good", LLM_API_BASE=double.base_url, **environ)


async def test_a_model_that_calls_tools(doctor: Doctor, double: OpenAIDouble) -> None:
    double.respond = lambda _: reply.call("create_task", {"title": "Water the roses"})
    found = await model(doctor, double, LLM_ROUTER_MODEL="openai/small")
    assert found["level"] == "ok"
    assert found["message"].startswith("openai/good calls tools (0.")
    assert "direct lane); openai/small calls tools" in found["message"]
    assert [request.body["model"] for request in double.requests] == ["good", "small"]
    assert double.requests[0].body["tools"][0]["function"]["name"] == "create_task"


async def test_a_model_that_only_talks_is_a_warning(doctor: Doctor, double: OpenAIDouble) -> None:
    double.respond = lambda _: reply.say("I would water the roses.")
    found = await model(doctor, double)
    assert found["level"] == "warning"
    assert "Choose a model that can call tools" in found["remedy"]


async def test_a_model_that_refuses_the_key(doctor: Doctor, double: OpenAIDouble) -> None:
    double.respond = lambda _: reply.fail(401, code="invalid_api_key", message="wrong key canary")
    found = await model(doctor, double)
    assert found["level"] == "fault"
    assert found["remedy"] == "See LLM_MODEL, LLM_API_BASE and the provider's key."
    assert "canary" not in str(found)


async def test_without_a_model_in_prod(doctor: Doctor) -> None:
    found = await only(doctor, "model", ENV="prod", JWT_SECRET="2f7c" * 16 + "0123456789abcdef")
    assert (found["level"], found["message"]) == ("fault", "No language model is configured.")


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    async with StripeDouble() as double:
        yield double


async def test_stripe_from_a_wrong_key_to_one_with_all_it_needs(doctor: Doctor, stripe: StripeDouble) -> None:
    wrong = await only(doctor, "stripe", STRIPE_API_BASE=stripe.base_url, STRIPE_SECRET_KEY="sk_live_wrong_canary")
    assert wrong["level"] == "fault"
    assert "Stripe's dashboard" in wrong["remedy"]
    assert "canary" not in str(wrong)
    deaf = await only(doctor, "stripe", STRIPE_SECRET_KEY=stripe.api_key)
    assert "its events are refused" in deaf["message"]
    poor = await only(doctor, "stripe", STRIPE_WEBHOOK_SECRET=stripe.webhook_secret, STRIPE_PRICE_PRO="price_gone")
    assert poor["message"] == "Stripe has no active price for STRIPE_PRICE_PRO=price_gone."
    well = await only(doctor, "stripe", STRIPE_PRICE_PRO="price_pro_monthly")
    assert (well["level"], well["message"]) == ("ok", "Stripe takes the key and has the prices.")


async def test_an_mcp_server_that_does_not_answer(doctor: Doctor) -> None:
    servers = orjson.dumps({"gone": {"url": "http://127.0.0.1:1/mcp"}}).decode()
    found = await only(doctor, "mcp", MCP_SERVERS=servers)
    assert found["level"] == "fault"
    assert found["message"].startswith("No tools from gone (")


async def test_a_plugin_that_does_not_load_is_a_warning(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import no_such_module_at_all\n"
    put_distribution(tmp_path, "broken-garden", module="broken_garden", source=source, entries="garden = broken_garden")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = await only(doctor, "plugins")
    assert found["level"] == "warning"
    assert "garden 1.0: ModuleNotFoundError" in found["message"]


async def test_few_open_files_are_a_warning(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    found = await only(doctor, "files")
    assert found["level"] == "warning"
    assert "ulimit -n" in found["remedy"]


async def test_an_address_that_another_program_has(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await only(doctor, "address", PORT=str(port))
    assert found["level"] == "fault"
    assert found["message"] == f"127.0.0.1:{port} is in use by another program."

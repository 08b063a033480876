"""schemathesis over the whole description: no 5xx, no status, header or body that is not in it."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adiuva.testing.limits import NO_RATE_LIMITS
from adiuva.testing.openai_double import OpenAIDouble, Reply, call, say
from adiuva.testing.serving import ADIUVA, Served
from adiuva.testing.stripe_double import StripeDouble

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "15")  # of each operation and phase
SEED = os.environ.get("FUZZ_SEED")  # none: the same cases each time
USER = {"email": "fuzzed@example.com", "password": "not one of the examples"}
CONFIG = Path(__file__).with_name("schemathesis.toml")
ENDS_THE_LOGIN = "/api/v1/auth/sessions/{id}"  # found by its id, it would be the one that fuzzes

# schemathesis, with a user of the team tier who is an admin.
pytestmark = [pytest.mark.proof, pytest.mark.timeout(900), pytest.mark.xdist_group("fuzz")]


def answer(body: dict[str, object]) -> Reply:
    return call("create_task", {"title": "Water the roses"}) if body.get("tools") else say("Zebras ", "graze.")


@pytest.mark.parametrize(
    "of", [["--exclude-path", ENDS_THE_LOGIN], ["--include-path", ENDS_THE_LOGIN]], ids=["all", "login"]
)
async def test_whatever_is_sent_the_answer_is_one_that_is_described(
    serve: Callable[..., Served], tmp_path: Path, of: list[str]
) -> None:
    async with StripeDouble() as stripe, OpenAIDouble(respond=answer) as model:
        environ = {
            "DATA_DIR": str(tmp_path / "data"),
            "DEFAULT_TIER": "team",
            **NO_RATE_LIMITS,
            "BCRYPT_ROUNDS": "10",
            "LLM_MODEL": "openai/double",
            "LLM_API_BASE": model.base_url,
            "OPENAI_API_KEY": "sk-test",
            "STRIPE_SECRET_KEY": stripe.api_key,
            "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
            "STRIPE_API_BASE": stripe.base_url,
            "LOG_LEVEL": "INFO",
        }
        served = await asyncio.to_thread(serve, **environ)
        _, tokens = await asyncio.to_thread(served.call, "POST", "/auth/register", USER)
        environ["PATH"] = os.environ["PATH"]
        grant = await asyncio.create_subprocess_exec(ADIUVA, "admin", "grant", USER["email"], cwd=tmp_path, env=environ)
        assert await grant.wait() == 0
        run = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={CONFIG}",
            "run",
            f"{served.url}/api/v1/openapi.json",
            f"--header=Authorization: Bearer {tokens['access_token']}",
            f"--max-examples={EXAMPLES}",
            "--continue-on-failure",
            "--no-color",
            *(["--seed", SEED] if SEED else ["--generation-deterministic"]),
            *of,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()
    errors = [line for line in served.lines if '"status":5' in line]
    assert [line for line in errors if '"status":500' in line] == []

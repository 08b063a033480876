"""The table of the tiers: what it says, and that nothing else says otherwise."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import evolve

from adiuva.app import create_app
from adiuva.billing.tiers import (
    agent_open_to,
    models_open_to,
    require_agent,
    require_feature,
    require_model_choice,
)
from adiuva.chat.registry import AgentRegistry
from adiuva.database import Database
from adiuva.errors import TierRequiredError
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel
from adiuva.tiers import FREE_AGENTS, TIER_NAMES, TIERS

GIB = 1024**3
ROOT = Path(__file__).parent.parent.parent

# As the requirements list them, from free to team; None is "without a limit".
MATRIX: dict[str, list[Any]] = {
    "agents": [3, None, None, None],
    "llm_providers": [1, None, None, None],
    "batches_active": [2, 10, None, None],
    "batch_builder": [False, False, True, True],
    "storage_bytes": [0, 5 * GIB, 25 * GIB, None],
    "backup_bytes": [0, 5 * GIB, 25 * GIB, None],
    "marketplace": [False, False, True, True],
    "sso": [False, False, False, True],
    "requests_per_minute": [20, 60, 120, 200],
}


async def served_tiers(settings: Settings) -> Any:
    app = create_app(settings, model=ScriptedModel(), registry=AgentRegistry())
    async with TestClient(TestServer(app)) as client, client.get("/api/v1/billing/tiers") as answer:
        assert answer.status == 200
        return (await answer.json())["items"]


async def test_everyone_may_read_what_the_tiers_hold(settings: Settings) -> None:
    standing = evolve(settings, rate_limits=Settings().rate_limits)
    assert await served_tiers(standing) == [
        {"tier": tier, **{feature: row[column] for feature, row in MATRIX.items()}}
        for column, tier in enumerate(["free", "pro", "power", "team"])
    ]


async def test_the_rates_that_are_served_are_those_in_force(settings: Settings) -> None:
    changed = evolve(settings, rate_limits={"free": 7, "pro": 60, "power": 120, "team": 1000})
    tiers = await served_tiers(changed)
    assert [tier["requests_per_minute"] for tier in tiers] == [7, 60, 120, 1000]


async def test_the_database_has_these_tiers_and_no_others(database: Database) -> None:
    async with database.acquire() as conn:
        found = await conn.fetch("SELECT unnest(enum_range(NULL::billing_tier))::text AS name")
    assert tuple(row["name"] for row in found) == TIER_NAMES == tuple(TIERS)


def test_settings_take_the_rates_from_the_table() -> None:
    assert Settings().rate_limits == {"free": 20, "pro": 60, "power": 120, "team": 200}


def test_the_tiers_are_named_in_one_place() -> None:
    named = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "adiuva").rglob("*.py")
        if any(f'"{tier}"' in path.read_text() for tier in ("pro", "power", "team"))
    ]
    assert named == ["adiuva/tiers.py"]


def test_the_free_tier_has_as_many_agents_as_the_table_says() -> None:
    assert len(FREE_AGENTS) == TIERS["free"].agents
    assert all(agent_open_to("free", agent) for agent in FREE_AGENTS)


@pytest.mark.parametrize("column, tier", list(enumerate(TIER_NAMES)))
def test_each_question_is_answered_from_the_table(column: int, tier: str) -> None:
    assert agent_open_to(tier, "garden_agent") == (MATRIX["agents"][column] is None)
    assert models_open_to(tier) == (MATRIX["llm_providers"][column] is None)


@pytest.mark.parametrize("feature", ["batch_builder", "marketplace", "sso"])
@pytest.mark.parametrize("column, tier", list(enumerate(TIER_NAMES)))
def test_a_feature_is_refused_to_the_tiers_without_it(column: int, tier: str, feature: str) -> None:
    if MATRIX[feature][column]:
        require_feature(tier, feature)  # type: ignore[arg-type]
    else:
        with pytest.raises(TierRequiredError, match=f"is not part of the {tier} tier"):
            require_feature(tier, feature)  # type: ignore[arg-type]


def test_the_free_tier_has_neither_other_agents_nor_a_choice_of_models() -> None:
    with pytest.raises(TierRequiredError, match="garden_agent"):
        require_agent("free", "garden_agent")
    with pytest.raises(TierRequiredError, match="model"):
        require_model_choice("free")
    require_agent("free", "task_agent")
    require_agent("pro", "garden_agent")
    require_model_choice("pro")

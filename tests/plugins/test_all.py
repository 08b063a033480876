"""What holds for all three plugins."""

import tomllib
from pathlib import Path

import pytest

from adiuva.chat.registry import FIRST_PARTY, AgentRegistry
from adiuva.database import Database
from adiuva.sdk import PluginManifest

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml"))
OURS = ("github-sync", "slack-notifier", "time-tracker")


def manifests() -> dict[str, PluginManifest]:
    found = [plugin.manifest for plugin in AgentRegistry.load().plugins]
    return {manifest.id: manifest for manifest in found if manifest is not None}


def test_they_are_installed_and_found_by_their_entry_points() -> None:
    assert tuple(manifests()) == OURS


async def test_the_marketplace_says_of_them_what_they_say_of_themselves(database: Database) -> None:
    async with database.acquire() as conn:
        rows = await conn.fetch("SELECT id, name, description, version, permissions FROM plugins ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (each.id, each.name, each.description, each.version, sorted_as(row["permissions"], each))
        for row, each in zip(rows, manifests().values(), strict=True)
    ]


def sorted_as(seeded: list[str], manifest: PluginManifest) -> list[str]:
    """The manifest's permissions, in the order in which the marketplace lists them."""
    return sorted(manifest.permissions, key=lambda each: seeded.index(each) if each in seeded else len(seeded))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_is_a_distribution_of_its_own_with_the_version_of_its_manifest(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    ((entry, module),) = project["entry-points"]["adiuva"].items()
    assert module == f"adiuva_{folder.name}"
    assert project["name"] == f"adiuva-{entry}"
    assert project["name"] in FIRST_PARTY
    assert project["version"] == manifests()[entry].version
    assert (folder / module / "py.typed").exists()

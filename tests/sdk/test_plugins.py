from typing import Any

import pytest

from adiuva.sdk import DefinitionError, Permission, PluginManifest


def test_a_manifest_takes_permissions_by_their_text() -> None:
    manifest = PluginManifest(id="github-sync", permissions=["read:tasks", Permission.WRITE_NOTES])
    assert manifest.permissions == {Permission.READ_TASKS, Permission.WRITE_NOTES}
    assert PluginManifest(id="x").permissions == frozenset()


@pytest.mark.parametrize("plugin_id", ["", "Git", "git_sync", "git sync", "x" * 65, "a\n", None, 5])
def test_an_id_that_the_marketplace_would_not_take_is_refused(plugin_id: Any) -> None:
    with pytest.raises(DefinitionError, match="a plugin's id is lower-case letters"):
        PluginManifest(id=plugin_id)


def test_a_permission_that_there_is_not_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'tasks' is no permission"):
        PluginManifest(id="x", permissions=["tasks"])
    with pytest.raises(DefinitionError, match="a list, not one string"):
        PluginManifest(id="x", permissions="read:tasks")


def test_which_permissions_write() -> None:
    assert Permission.WRITE_CALENDAR.writes
    assert not Permission.READ_CALENDAR.writes
    assert len(Permission) == 10

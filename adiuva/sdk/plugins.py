"""What a marketplace plugin says of itself."""

import re
from collections.abc import Iterable

from attrs import Attribute, field, frozen

from adiuva.sdk.errors import DefinitionError
from adiuva.sdk.permissions import Permission

_ID = re.compile(r"[a-z0-9-]{1,64}")


def _permissions(texts: Iterable[str]) -> frozenset[Permission]:
    if isinstance(texts, str):
        raise DefinitionError("permissions is a list, not one string")
    try:
        return frozenset(Permission.of(text) for text in texts)
    except ValueError as error:
        raise DefinitionError(str(error)) from None


def _check_id(_: object, __: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise DefinitionError(f"a plugin's id is lower-case letters, digits and hyphens, 64 at most, not {value!r}")


@frozen(kw_only=True)
class PluginManifest:
    """Ties what a module registers to a plugin of the marketplace.

    ``PluginManifest(id="github-sync", permissions=["read:tasks"])``: its agents then serve only users who have that
    plugin installed, and get no further than ``permissions``, which the user saw when installing it.

    Raises:
        DefinitionError: the id or a permission is not well-formed.
    """

    id: str = field(validator=_check_id)
    permissions: frozenset[Permission] = field(default=frozenset(), converter=_permissions)
    name: str = ""
    description: str = ""
    version: str = ""

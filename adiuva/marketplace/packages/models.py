"""What a package is for."""

from typing import Final
from uuid import UUID

from attrs import frozen

from adiuva.storage.models import Blob

MAX_PACKAGE_BYTES: Final = 10 * 2**20


@frozen(kw_only=True)
class Target:
    """The version that a package is for, and the package that it has."""

    author_id: UUID | None
    position: int
    version: str
    package_checksum: str | None
    package_approved: bool  # then it stays


@frozen(kw_only=True)
class Submitted:
    """The last package of a plugin, and what was said of the version that it is for."""

    version: str
    permissions: list[str]
    package: Blob

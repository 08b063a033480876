"""The frames of ``WS /storage/stream``, each one JSON object; clients send none."""

from typing import Final, Literal

from attrs import frozen


@frozen(kw_only=True)
class Ready:
    """From here on nothing is missed: ask for changes once now."""

    type: Literal["ready"] = "ready"


@frozen(kw_only=True)
class Changed:
    """There are changes up to `cursor`; without it there may be some."""

    type: Literal["changed"] = "changed"
    cursor: str | None = None


SERVER_FRAMES: Final = (Ready, Changed)

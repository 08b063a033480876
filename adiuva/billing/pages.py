"""The pages to which Stripe sends people back: a sentence each, without scripts or assets."""

from html import escape
from typing import Final

from adiuva.settings import Settings

PATH: Final = "/billing/pages/"

TEXTS: Final = {
    "done": "Thank you. You can go back to the app.",
    "canceled": "Nothing was paid. You can go back to the app.",
    "portal": "You can go back to the app.",
    "connected": "Thank you. As soon as Stripe has checked the details, your earnings are transferred.",
    "again": "This link has expired. Ask for a new one in the app.",
    "stub": "This server is not connected to Stripe: nothing can be paid here. Its operator can give you a tier.",
}

_HTML = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Adiuva</title>
<p style="font: 1.2em sans-serif; max-width: 30em; margin: 20vh auto 0; padding: 1em">{}</p>
</html>
"""


class Pages:
    """Where the pages are, as browsers reach them."""

    def __init__(self, root: str) -> None:
        """``root`` is the address below which the API is."""
        self._root = root.rstrip("/")

    @classmethod
    def of(cls, settings: Settings, prefix: str) -> "Pages":
        """Below ``PUBLIC_URL``, or where the server listens."""
        root = settings.public_url or f"http://{settings.host}:{settings.port}"
        return cls(root.rstrip("/") + prefix)

    def url(self, name: str) -> str:
        """The address of a page."""
        return f"{self._root}{PATH}{name}"


def page(name: str) -> str | None:
    """A page as HTML; None if there is no such page."""
    text = TEXTS.get(name)
    return None if text is None else _HTML.format(escape(text))

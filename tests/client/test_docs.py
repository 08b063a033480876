"""What docs/client.md shows runs."""

import re
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adiuva.client import Client

DOCUMENT = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
DIMENSIONS = 16


def embed(text: str) -> list[float]:
    return [float(len(text) % (number + 2)) + 0.1 for number in range(DIMENSIONS)]


async def test_the_example_runs(server: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "adiuva.db").write_bytes(b"the app's own database")
    monkeypatch.chdir(tmp_path)
    code = snippet.replace("http://127.0.0.1:8000", server)
    names: dict[str, Any] = {
        "password": "the server sees this one",
        "passphrase": "the server never sees this one",
        "embed": embed,
    }
    exec(f"async def example():\n{textwrap.indent(code, '    ')}\n    return record, data, found, cursor", names)
    example: Callable[[], Awaitable[Any]] = names["example"]
    record, data, found, cursor = await example()
    assert data == b"{}"
    assert int(cursor) > 0
    assert [item.id for item in found] == [record.id]
    assert (tmp_path / "restored.db").read_bytes() == b"the app's own database"


def test_every_placeholder_is_filled() -> None:
    assert not re.findall(r"\b[A-Z]+_HERE\b", DOCUMENT)

"""Runs the Python of the pages for authors as an author would: in the distribution that the page builds."""

import re
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PublicKey, SealedBox

from tests.docs.blocks import Block, of_kind
from tests.docs.test_blocks import AUTHORS_PAGES

# The page of which a page's Python goes on.
BUILDS_ON = {"testing.md": "agents.md"}
CONFIG = "[pytest]\nasyncio_mode = auto\npythonpath = .\npython_functions = test_*\n"


def _modules(page: str) -> dict[str, str]:
    """The page's distribution: its first module, which the text before it names."""
    first = next(block for block in of_kind("python") if block.page == page)
    return {first.file: first.code} if first.file else {}


@pytest.mark.parametrize("page", sorted(AUTHORS_PAGES - {"tutorial.md"}))
def test_all_blocks_run(page: str, tmp_path: Path) -> None:
    blocks = [block for block in of_kind("python") if block.page == page]
    modules = _modules(BUILDS_ON.get(page, page))
    for name, code in modules.items():
        (tmp_path / name).write_text(code)
    rest = [block for block in blocks if block.code not in modules.values()]
    assert rest
    for block in _joined(page, rest):
        (tmp_path / f"test_line_{block.line}.py").write_text(f"{block.code}\n\ndef test_this_ran():\n    pass\n")
    (tmp_path / "pytest.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert int(re.findall(r"(\d+) passed", run.stdout)[0]) >= len(_joined(page, rest))


def _joined(page: str, blocks: list[Block]) -> list[Block]:
    """The page's blocks; those of the kit's page are one file, as they go on from each other."""
    if page not in BUILDS_ON:
        return blocks
    first = blocks[0]
    return [Block(page, first.line, first.kind, "\n\n".join(block.code for block in blocks), first.before)]


class _Answer(dict[str, str]):
    """A result as the server would seal it to the key that the example has made."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__()
        self.names = names

    def __missing__(self, field: str) -> str:
        assert field == "sealed"
        key = PublicKey(b64decode(self.names["public_key"]))
        return b64encode(SealedBox(key).encrypt(b'{"item_id":"0"}')).decode()


async def test_a_result_of_a_batch_is_opened() -> None:
    (block,) = [block for block in of_kind("python") if block.page == "api-extensions.md"]
    names: dict[str, Any] = {}
    names["result"] = _Answer(names)
    exec(block.code, names)
    assert names["content"] == b'{"item_id":"0"}'

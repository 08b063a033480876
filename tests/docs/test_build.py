"""`make docs`: the pages are built without a warning, and ask nobody for anything when they are read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from adiuva import sdk
from tests.docs.blocks import DOCS, ROOT


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_the_pages_are_built_without_a_warning_and_hold_no_outside_assets(tmp_path: Path) -> None:
    recipe = re.findall(r"^docs:.*\n\t\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0]
    command = recipe.replace("build/", f"{tmp_path}/").split()
    command[0] = str(Path(sys.executable).with_name(command[0]))
    assert "--fail-on-warning" in command
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    pages = {path.stem: path.read_text() for path in (tmp_path / "docs").glob("*.html")}
    assert {path.stem for path in DOCS.glob("*.md")} <= pages.keys()
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]* src=\"([^\"]+)\"", text)
        loaded += re.findall(r"<link[^>]* href=\"([^\"]+)\"", text)
        assert loaded
        assert not [address for address in loaded if re.match(r"(?:https?:)?//", address)], name
    for style in (tmp_path / "docs" / "_static").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style.name
    for name in sdk.__all__:
        assert f'id="adiuva.sdk.{name}"' in pages["sdk"]
    assert "TRUSTED_PROXIES" in pages["start"]

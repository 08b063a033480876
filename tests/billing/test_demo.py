"""``adiuva demo --stripe``, as a person starts it."""

import os
import subprocess
from pathlib import Path

from adiuva.testing.serving import ADIUVA


def test_the_whole_way_of_the_money_is_shown_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    run = subprocess.run(
        [ADIUVA, "demo", "--stripe"],
        capture_output=True,
        text=True,
        env={**environ, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "paid; tier pro" in run.stdout
    assert "499 cents: 349 for Grace, 150 for the platform" in run.stdout
    assert "70 cents of the transfer are reversed" in run.stdout
    assert "399 cents: 279 for Grace, 120 for the platform" in run.stdout
    assert "tier free, canceled; at Stripe: canceled" in run.stdout
    assert list(tmp_path.iterdir()) == []

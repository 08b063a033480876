"""``docs/testing.md`` has all that the kit has. Its code blocks are run by tests/docs."""

from pathlib import Path

from adiuva.kit.report import CHECKS
from adiuva.testing import ATTACKS, Run

GUIDE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def test_the_guide_has_all_checks_attacks_and_parts_of_a_run() -> None:
    for check, meaning in CHECKS.items():
        assert f"| `{check}` | {meaning} |" in GUIDE
    assert all(f'"{attack}"' in GUIDE for attack in ATTACKS)
    for name in Run.__annotations__:
        assert f"`{name}`" in GUIDE

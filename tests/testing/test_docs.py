"""Runs every code block of ``docs/testing.md``, and finds in it all that the kit has."""

import re
import subprocess
import sys
from pathlib import Path

from adiuva.cli import main
from adiuva.kit.report import CHECKS
from adiuva.testing import ATTACKS, Run

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "testing.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]


def test_the_tests_of_the_guide_pass_as_an_author_runs_them(tmp_path: Path) -> None:
    module = re.findall(r"^```python\n(.*?)^```$", (DOCS / "agents.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "adiuva_garden.py").write_text(module)
    (tmp_path / "test_guide.py").write_text("\n\n".join(PYTHON))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert f"{sum(code.count('def test_') for code in PYTHON)} passed" in run.stdout


def test_the_commands_of_the_guide_are_there_with_their_options() -> None:
    lines = [line.split()[1:] for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
    assert len(lines) == 4
    for group, name, *arguments in lines:
        command = main.commands[group].commands[name]  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_the_guide_has_all_checks_attacks_and_parts_of_a_run() -> None:
    for check, meaning in CHECKS.items():
        assert f"| `{check}` | {meaning} |" in GUIDE
    assert all(f'"{attack}"' in GUIDE for attack in ATTACKS)
    for name in Run.__annotations__:
        assert f"`{name}`" in GUIDE
    assert {language for language, _ in BLOCKS} == {"sh", "python"}

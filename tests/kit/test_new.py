"""``adiuva new``: what it writes, and what it refuses to."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adiuva.cli import main
from adiuva.kit.scaffold import MAX_NAME

ROOT = Path(__file__).parents[2]
RUFF = str(Path(sys.executable).with_name("ruff"))
LONGEST = "x" * (MAX_NAME - 2) + "-1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["new", *arguments])


def _run(*command: str | Path, cwd: Path) -> str:
    run = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def _venv(folder: Path) -> Path:
    """An environment with all that is installed here, and room for more."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    site = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(site) / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return python


@pytest.mark.proof
@pytest.mark.timeout(600)  # a type checker without a cache
@pytest.mark.parametrize("kind, name", [("agent", "garden"), ("plugin", LONGEST)])
def test_the_package_installs_and_passes_its_tests_linter_and_type_checker(here: Path, kind: str, name: str) -> None:
    assert new(kind, name, "--dir", "mine").exit_code == 0
    package, python = here / "mine", _venv(here / "venv")
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    _run(sys.executable, "-m", "pip", "--python", python, "install", *offline, "-e", package, cwd=here)
    agents = _run(python, "-c", "from adiuva.cli import main; main(['agents'])", cwd=here)
    assert f"{name.replace('-', '_')}_agent" in agents
    assert " passed" in _run(python, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", cwd=package)
    _run(RUFF, "check", "--no-cache", ".", cwd=package)
    _run(RUFF, "format", "--no-cache", "--check", ".", cwd=package)
    _run(sys.executable, "-m", "mypy", "--cache-dir", here / "cache", cwd=package)


@pytest.mark.parametrize("name", ["garden", "a", LONGEST])
@pytest.mark.parametrize("kind", ["agent", "plugin"])
def test_the_linter_has_nothing_to_say_whatever_the_name(here: Path, kind: str, name: str) -> None:
    assert new(kind, name, "--dir", "mine").exit_code == 0
    _run(RUFF, "check", "--no-cache", ".", cwd=here / "mine")
    _run(RUFF, "format", "--no-cache", "--check", ".", cwd=here / "mine")


@pytest.mark.parametrize("name", ["weather-diary", "weather_diary", "adiuva-weather-diary", "weather-diary-agent"])
def test_one_name_in_all_its_forms(here: Path, name: str) -> None:
    result = new("agent", name)
    assert result.exit_code == 0, result.output
    package = here / "adiuva-weather-diary"
    module = (package / "adiuva_weather_diary.py").read_text()
    assert "class WeatherDiaryAgent(Agent):" in module
    assert 'name = "weather_diary_agent"' in module
    assert 'weather-diary = "adiuva_weather_diary"' in (package / "pyproject.toml").read_text()
    assert (package / "tests" / "test_weather_diary.py").exists()
    assert not [path for path in package.rglob("*") if path.is_file() and "xample" in path.read_text()]


def test_a_name_may_have_the_word_of_the_templates_in_it(here: Path) -> None:
    assert new("plugin", "example-two").exit_code == 0
    module = (here / "adiuva-example-two" / "adiuva_example_two.py").read_text()
    assert "class ExampleTwoAgent(Agent):" in module
    assert 'id="example-two"' in module
    assert 'name="Example two"' in module


@pytest.mark.parametrize(
    "name",
    ["", "Garden", "1garden", "garden-", "-garden", "gar--den", "gar den", "../garden", "jardín", "x" * 31, "\0"],
)
def test_what_is_no_name_is_refused(here: Path, name: str) -> None:
    result = new("agent", "--", name)
    assert result.exit_code == 1
    assert "is no name for a package" in result.output
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "name, why",
    [("class", "a word of Python"), ("note", "is taken"), ("note-agent", "is taken"), ("task", "is taken")],
)
def test_a_name_that_would_clash_is_refused(here: Path, name: str, why: str) -> None:
    result = new("plugin", name)
    assert result.exit_code == 1
    assert why in result.output
    assert list(here.iterdir()) == []


def test_what_is_there_is_never_touched(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "diary.txt").write_text("dear diary")
    (here / "file").write_text("a file")
    for folder in ("mine", "file", "no/such/parent"):
        result = new("agent", "garden", "--dir", folder)
        assert result.exit_code == 1
        assert "Nothing was written" in result.output
    assert sorted(path.name for path in here.rglob("*")) == ["diary.txt", "file", "mine"]


def test_an_empty_folder_will_do(here: Path) -> None:
    (here / "mine").mkdir()
    assert new("agent", "garden", "--dir", "mine").exit_code == 0
    assert (here / "mine" / "adiuva_garden.py").exists()


def test_a_disk_that_fails_leaves_nothing_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write_text = Path.write_text

    def fail_late(self: Path, *arguments: str, **options: str) -> int:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write_text(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fail_late)
    result = new("agent", "garden")
    assert result.exit_code == 1
    assert "No space left" in result.output
    assert list(here.iterdir()) == []

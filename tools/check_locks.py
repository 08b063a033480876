"""Check that the lock files say what setup.cfg, agents and plugins need, and what `make lock` would write; offline.

What a requirement needs in turn is read from the packages that are installed, so this runs where the locks are.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# lock file: the extras of setup.cfg that it covers
IMAGE = {"gunicorn", "redis", "mcp", "otel", "build"}
DEV = IMAGE | {"client", "testing", "build", "dev", "lock", "bench", "docs"}
LOCKS = {"requirements.lock": {"build"}, "requirements-image.lock": IMAGE, "requirements-dev.lock": DEV}


def main() -> int:
    """Print each fault; the number of faults is the exit status."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    faults = []
    if unknown := set(config["options.extras_require"]) - LOCKS["requirements-dev.lock"]:
        faults.append(f"setup.cfg has extras that no lock file covers: {', '.join(unknown)}")
    locked = {}
    for name, extras in LOCKS.items():
        wanted = [config["options"]["install_requires"], *(config["options.extras_require"][extra] for extra in extras)]
        locked[name], found = _read(ROOT / name)
        faults += found
        asked = [(requirement, "setup.cfg") for requirement in _requirements("\n".join(wanted))]
        faults += [f"{name}: {fault}" for fault in _compare([*asked, *_of_our_distributions()], locked[name])]
    for name in LOCKS:
        for package, version in locked[name].items():
            if locked["requirements-dev.lock"].get(package) != version:
                faults.append(f"{package} is not the same in {name} and requirements-dev.lock")
    print("\n".join([*faults, "Run `make lock`."]) if faults else "The lock files are up to date.")
    return min(len(faults), 1)


def _requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def _read(path: Path) -> tuple[dict[str, str], list[str]]:
    """The versions that hold on this machine, and what must not be in a lock file."""
    versions: dict[str, str] = {}
    faults = []
    for entry in re.split(r"\n(?=\S)", path.read_text()):
        if entry.startswith("#") or not entry.strip():
            continue
        requirement, *hashes = entry.replace("\\\n", "").split(" --hash=")
        parsed = Requirement(requirement.split("    ")[0].strip()) if not entry.startswith("-") else None
        if parsed is None or parsed.url:
            faults.append(
                f"{path.name}: {entry.splitlines()[0]}: only pinned packages belong here, not where to find them"
            )
        elif not hashes or any(not re.fullmatch(r"\s*sha256:[0-9a-f]{64}\s*", value) for value in hashes):
            faults.append(f"{path.name}: {parsed.name} has no hashes")
        elif parsed.marker is None or parsed.marker.evaluate():
            versions[canonicalize_name(parsed.name)] = str(parsed.specifier).removeprefix("==")
    return versions, faults


def _of_our_distributions() -> Iterator[tuple[Requirement, str]]:
    """What agents/* and plugins/* need, each with its file. It is in setup.cfg too: the locks are made of that."""
    for path in sorted([*ROOT.glob("agents/*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]):
        for line in tomllib.loads(path.read_text())["project"]["dependencies"]:
            if (requirement := Requirement(line)).name != "adiuva":
                yield requirement, path.relative_to(ROOT).as_posix()


def _compare(wanted: list[tuple[Requirement, str]], locked: dict[str, str]) -> Iterator[str]:
    needed: set[str] = set()
    todo = list(wanted)
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement, asker = todo.pop()
        if requirement.marker and not requirement.marker.evaluate():
            continue
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name not in locked:
            yield f"{name}, which {asker} needs, is missing"
        elif not requirement.specifier.contains(locked[name], prereleases=True):
            yield f"{name} is {locked[name]}, but {asker} needs {requirement.specifier}"
        needed.add(name)
        if name not in locked or (name, extras) in seen:
            continue
        seen.add((name, extras))
        todo += [(found, name) for found in _needs(name, extras)]
    for unneeded in locked.keys() - needed:
        yield f"{unneeded} is not needed by anything"


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            requirement.marker = None
            yield requirement


if __name__ == "__main__":
    sys.exit(main())

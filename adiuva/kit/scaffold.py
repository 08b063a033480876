"""``adiuva new``: writes a package that installs, passes its tests, its linter and its type checker as it stands.

The templates beside this module are such a package themselves, named "example"; writing one is renaming that.
"""

import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from attrs import frozen

from adiuva.kit.errors import KitError
from adiuva.sdk.hookspecs import PROJECT

Kind = Literal["agent", "plugin"]

TEMPLATES: Final = Path(__file__).with_name("templates")
SUFFIX: Final = ".template"
MAX_NAME: Final = 30
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_EXAMPLE: Final = re.compile(r"ExampleAgent|Example|adiuva_example|example_agent|test_example|example")


@frozen
class PackageName:
    """A name in all its forms; ``words`` are lower-case."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "PackageName":
        """The name that an author means: ``garden``, ``garden-agent`` and ``adiuva_garden`` are one.

        Raises:
            KitError: it is no name for a package.
        """
        bare = re.sub(r"^adiuva[-_]|[-_]agent$", "", text)
        if not _NAME.fullmatch(bare) or len(bare) > MAX_NAME:
            raise KitError(
                f"{text!r} is no name for a package: take lower-case letters and digits, words joined by hyphens, a"
                f" letter first, {MAX_NAME} characters at most, such as garden or weather-diary."
            )
        name = cls(tuple(re.split("[-_]", bare)))
        if keyword.iskeyword(name.joined("_")):
            raise KitError(f"{text!r} is a word of Python. Choose another name.")
        return name

    def joined(self, by: str) -> str:
        """The words, joined: the plugin's id and the entry point with hyphens."""
        return by.join(self.words)

    @property
    def distribution(self) -> str:
        """What ``pip`` knows it by."""
        return f"adiuva-{self.joined('-')}"

    @property
    def module(self) -> str:
        """What is imported."""
        return f"adiuva_{self.joined('_')}"

    @property
    def agent(self) -> str:
        """The agent's name on a server."""
        return f"{self.joined('_')}_agent"

    def rename(self, text: str) -> str:
        """A text of the templates, with this name in place of "example"."""
        title = " ".join(self.words).capitalize()
        forms = {
            "ExampleAgent": "".join(word.capitalize() for word in self.words) + "Agent",
            "Example": title,
            "adiuva_example": self.module,
            "example_agent": self.agent,
            "test_example": f"test_{self.joined('_')}",
            "example": self.joined("-"),
        }
        return _EXAMPLE.sub(lambda found: forms[found[0]], text)


def write_package(kind: Kind, text: str, folder: Path | None = None) -> Path:
    """Write a package of that name to ``folder``, or to one of its name where you are; all of it, or nothing.

    Raises:
        KitError: the name is none or taken, or the folder is not free or cannot be made.
    """
    name = PackageName.of(text)
    _require_free(name)
    target = (folder or Path(name.distribution)).absolute()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise KitError(f"{target} is there already. Nothing was written; give another folder with --dir.")
    if not target.parent.is_dir():
        raise KitError(f"There is no folder {target.parent}. Nothing was written.")
    try:
        _write(kind, name, target)
    except OSError as error:
        raise KitError(f"{target} cannot be written: {error.strerror}. Nothing was written.") from error
    return target


def _require_free(name: PackageName) -> None:
    from adiuva.chat.registry import AgentRegistry

    entries = {entry.name for entry in entry_points(group=PROJECT)}
    taken = name.joined("-") in entries or name.joined("_") in entries or find_spec(name.module) is not None
    if taken or AgentRegistry.load().get(name.agent) is not None:
        raise KitError(f"The name {name.joined('-')} is taken by a package that is installed here. Choose another one.")


def _write(kind: Kind, name: PackageName, target: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        package = aside / "package"
        for path, content in _files(kind, name):
            file = package / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        if target.is_dir():
            target.rmdir()
        package.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _files(kind: Kind, name: PackageName) -> Iterator[tuple[Path, str]]:
    for folder in (TEMPLATES / "common", TEMPLATES / kind):
        for path in sorted(folder.rglob(f"*{SUFFIX}")):
            file = path.relative_to(folder).as_posix().removesuffix(SUFFIX)
            file = file.replace("dot_", ".")  # setuptools leaves files out whose name begins with a dot
            yield Path(name.rename(file)), name.rename(path.read_text(encoding="utf-8"))

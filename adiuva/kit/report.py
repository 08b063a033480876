"""What a check of a package finds, and how it is shown."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from attrs import field, frozen

Level = Literal["error", "warning", "note"]

CHECKS: Final = {
    "package": "it is a package that a server can load",
    "code": "its code can be reviewed, and uses the SDK only",
    "load": "it loads, at once, beside Adiuva's own agents",
    "manifest": "it asks for the permissions that it needs, and no more",
    "agents": "its agents say what they are for",
    "tools": "its tools and observers take odd arguments and odd data without breaking",
    "hostile": "it withstands a model that loops, calls what there is not, and tells its prompt",
    "behaviour": "it starts no process, writes no file and opens no connection by itself",
}
"""All checks in the order in which they are made, and what holds where one finds nothing."""


@frozen(kw_only=True)
class Finding:
    """One thing that a check found. An ``error`` is a fault; a ``warning`` is for the reviewer to judge."""

    check: str
    level: Level
    where: str  # an agent, a tool, a file and line; "" where it is the package as a whole
    message: str


@frozen(kw_only=True)
class ToldManifest:
    """A manifest, as the probe tells of it."""

    id: str
    name: str
    description: str
    version: str
    permissions: list[str]


@frozen(kw_only=True)
class Told:
    """What the probe tells of a package whose code it has run."""

    loaded: bool = False
    manifest: ToldManifest | None = None
    agents: dict[str, list[str]] = field(factory=dict)
    observers: list[str] = field(factory=list)
    findings: list[Finding] = field(factory=list)


@frozen(kw_only=True)
class Report:
    """What came of checking one package."""

    package: str  # as its distribution is named
    version: str
    plugin_id: str | None  # of its manifest; None where it has none, or was not loaded
    permissions: tuple[str, ...] = ()  # what its manifest asks for
    loaded: bool  # whether its code could be run; if not, nothing is said of what only running it shows
    agents: dict[str, list[str]] = field(factory=dict)  # their tools, by name
    observers: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return not any(finding.level == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """As JSON data; ``passed`` is in it."""
        return {
            "package": self.package,
            "version": self.version,
            "plugin_id": self.plugin_id,
            "permissions": list(self.permissions),
            "passed": self.passed,
            "loaded": self.loaded,
            "agents": self.agents,
            "observers": list(self.observers),
            "findings": [
                {"check": found.check, "level": found.level, "where": found.where, "message": found.message}
                for found in self.findings
            ],
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> Iterator[str]:
        """As lines to read; whatever the package says stays within its line, and moves no terminal."""
        yield from map(_printable, self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.package} {self.version}{f', plugin {self.plugin_id}' if self.plugin_id else ''}"
        for agent, tools in self.agents.items():
            yield f"  {agent}: {', '.join(tools) or 'no tools'}"
        for observer in self.observers:
            yield f"  {observer}: is told about actions"
        yield ""
        for check, meaning in CHECKS.items():
            found = [finding for finding in self.findings if finding.check == check]
            yield f"{self._mark(check, found)} {check}: {meaning}"
            for finding in found:
                where = f"{finding.where}: " if finding.where else ""
                yield f"    {finding.level}: {where}{finding.message}"
        count = {level: sum(found.level == level for found in self.findings) for level in ("error", "warning")}
        yield ""
        verdict = "passed" if self.passed else "failed"
        yield f"{verdict}: {count['error']} errors, {count['warning']} warnings, in {self.seconds:.1f} s"

    def _mark(self, check: str, found: list[Finding]) -> str:
        if any(finding.level == "error" for finding in found):
            return "✗"
        if found:
            return "•"
        return "✓" if self.loaded or check in {"package", "code"} else "-"


def _printable(line: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in line
    )

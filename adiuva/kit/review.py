"""``adiuva admin plugins check``: checks a package of the marketplace for its reviewer, when an admin asks for it.

It runs the package's code, so it is no work of the server's: who runs the command decides where.
"""

import tempfile
from pathlib import Path
from typing import Final

import attrs
import orjson

from adiuva.audit import queries as audit
from adiuva.audit.models import Actor
from adiuva.database import Connection, run_on
from adiuva.kit.check import check_package
from adiuva.kit.report import Finding, Report
from adiuva.marketplace.packages import queries
from adiuva.marketplace.packages.fetch import fetch_package
from adiuva.marketplace.packages.models import Submitted
from adiuva.settings import Settings

_MANIFEST: Final = "manifest"


def check_submitted(plugin_id: str, settings: Settings, *, seconds: float) -> Report:
    """Check the last package of a plugin, reviewed or not, and keep the report for the review queue.

    Raises:
        NotFoundError: there is no package of such a plugin.
        KitError: it is an archive of another kind.
    """
    fetched = fetch_package(settings, plugin_id)
    submitted = fetched.submitted
    with tempfile.TemporaryDirectory(prefix="adiuva-review-") as folder:
        package = Path(folder) / fetched.file_name
        package.write_bytes(fetched.data)
        report = check_package(package, seconds=seconds)
    report = attrs.evolve(report, findings=(*report.findings, *_differences(report, plugin_id, submitted)))
    kept = orjson.dumps(report.as_json()).decode()
    run_on(settings, lambda conn: _keep(conn, plugin_id, submitted.package.checksum, kept, passed=report.passed))
    return report


async def _keep(conn: Connection, plugin_id: str, checksum: str, report: str, *, passed: bool) -> None:
    async with conn.transaction():
        await queries.save_report(conn, plugin_id, checksum, report)
        details = {"package_checksum": checksum, "passed": passed}
        await audit.append(conn, Actor.at_the_command_line(), "plugin.check", plugin_id, details)


def _differences(report: Report, plugin_id: str, submitted: Submitted) -> list[Finding]:
    """What the package says of itself, and the author said otherwise."""
    if not report.loaded:
        return []
    faults = []
    if report.plugin_id != plugin_id:
        faults.append(f"its manifest is of the plugin {report.plugin_id}, and it was uploaded for {plugin_id}")
    if report.version != submitted.version:
        faults.append(f"it is version {report.version}, and was uploaded for {submitted.version}")
    if beyond := sorted(set(report.permissions) - set(submitted.permissions)):
        faults.append(f"it asks for {', '.join(beyond)}, which was not submitted for review")
    return [Finding(check=_MANIFEST, level="error", where=plugin_id, message=fault) for fault in faults]

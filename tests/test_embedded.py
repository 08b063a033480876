"""The embedded server and what may go wrong with it: killed owners, power cuts, full disks, a second start."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from adiuva.embedded import EmbeddedPostgres, EmbeddedPostgresError, FolderInUseError, programs

pytestmark = pytest.mark.proof

OWNER = """
import sys, time
from pathlib import Path
from adiuva.embedded import EmbeddedPostgres
EmbeddedPostgres.start(Path(sys.argv[1]))
print("started", flush=True)
time.sleep(600)
"""


@contextmanager
def started(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres.start(folder)
    try:
        yield server
    finally:
        server.stop()


def run(server: EmbeddedPostgres, *statements: str) -> list[object]:
    async def each() -> list[object]:
        connection = await asyncpg.connect(server.dsn)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(each())


def postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


def owner_killed(folder: Path) -> None:
    """Another process starts a server on ``folder`` and gets no chance to stop it."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert b"started\n" in iter(owner.stdout.readline, b"")
        owner.kill()


def test_what_is_committed_is_there_at_the_next_start_and_that_one_is_fast(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with started(folder) as server:
        run(server, "CREATE TABLE kept (id int)")
    begin = time.perf_counter()
    with started(folder) as server:
        assert time.perf_counter() - begin < 1
        assert run(server, "SELECT count(*) FROM kept") == [0]
    assert not (folder / "postmaster.pid").exists()


def test_a_second_server_on_one_folder_is_refused_and_may_join_instead(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    assert EmbeddedPostgres.running(folder) is None
    with started(folder) as server:
        with pytest.raises(FolderInUseError, match=rf"process {os.getpid()}\) runs on DATA_DIR='{tmp_path}'"):
            EmbeddedPostgres.start(folder)
        joined = EmbeddedPostgres.running(folder)
        assert joined is not None
        joined.stop()
        assert run(server, "SELECT 1") == [1]
    assert EmbeddedPostgres.running(folder) is None


def test_a_server_whose_owner_was_killed_is_taken_over_and_stopped_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    owner_killed(folder)
    orphan = postmaster(folder)
    with started(folder) as server:
        assert run(server, "SELECT 1") == [1]
        assert postmaster(folder) == orphan
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_after_a_power_cut_what_was_committed_is_recovered(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    owner_killed(folder)
    server = EmbeddedPostgres.running(folder)
    assert server is not None
    run(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
    victims = [postmaster(folder), *postmaster(folder).children()]
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims, timeout=10)
    with started(folder) as server:
        assert run(server, "SELECT count(*) FROM kept") == [1000]


def test_an_old_pid_file_whose_number_another_process_has_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with started(folder):
        lines = (folder / "postmaster.pid").read_text().splitlines()
    owner = folder.stat()
    identity = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "600"], **identity) as other:  # type: ignore[call-overload]
        (folder / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        os.chown(folder / "postmaster.pid", owner.st_uid, owner.st_gid)
        with started(folder) as server:
            assert run(server, "SELECT 1") == [1]
        assert other.poll() is None
        other.kill()


def test_a_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    (tmp_path / "postgres").mkdir()
    with started(tmp_path / "postgres") as server:
        assert run(server, "SELECT 1") == [1]


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("mine")
    with pytest.raises(EmbeddedPostgresError, match="Directory not empty"):
        EmbeddedPostgres.start(tmp_path / "postgres")
    assert (tmp_path / "postgres" / "thesis.txt").read_text() == "mine"


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / "postgres"
    with started(folder) as server:
        assert run(server, "SELECT 1") == [1]
        joined = EmbeddedPostgres.running(folder)
        assert joined is not None
        assert joined.dsn == server.dsn


def test_a_folder_for_temporary_files_that_is_too_long_as_well_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / ("temporary" * 12)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with started(tmp_path / ("long" * 25) / "postgres") as server:
        assert run(server, "SELECT 1") == [1]
    assert list(temporary.iterdir()) == []


def test_a_path_too_long_where_no_folder_is_short_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MAX_SOCKET_PATH", 10)
    with pytest.raises(EmbeddedPostgresError, match="too long for PostgreSQL's socket"):
        EmbeddedPostgres.start(tmp_path / "postgres")


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError) as refused:
        EmbeddedPostgres.start(tmp_path / "file" / "postgres")
    assert refused.value.message == f"DATA_DIR={str(tmp_path / 'file')!r} cannot be used: File exists"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(EmbeddedPostgresError, match="No space left on device") as refused:
            EmbeddedPostgres.start(tmp_path / "postgres")
        assert "\n" not in refused.value.message
        assert not (tmp_path / "postgres").exists()
        assert not (tmp_path / "postgres.new").exists()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_version_that_does_not_fit_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with started(folder):
        pass
    (folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="incompatible with server"):
        EmbeddedPostgres.start(folder)


def test_the_log_holds_nothing_of_what_users_sent(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with started(folder) as server:
        run(server, "CREATE TABLE emails (email text PRIMARY KEY)", "INSERT INTO emails VALUES ('canary@example.org')")
        with pytest.raises(asyncpg.UniqueViolationError):
            run(server, "INSERT INTO emails VALUES ('canary@example.org')")
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            run(server, "SELECT 'canary'::int")
    text = folder.with_suffix(".log").read_text()
    assert "ready to accept connections" in text
    assert "canary" not in text

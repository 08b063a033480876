"""Fixtures with a real PostgreSQL: one server for a whole test run, and a copy of the migrated schema for each test.

Load them with ``pytest_plugins = ["adiuva.testing.postgres"]``. Under pytest-xdist the workers share the server: the
first that needs it starts it, the last one stops it. A copy goes from test to test, cleaned in between.
"""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from adiuva.database import Database
from adiuva.embedded import EmbeddedPostgres
from adiuva.settings import Settings
from adiuva.testing.databases import PREPARE, Databases, create, database_of, drop

_OWN_FOLDER = pytest.StashKey[Path]()

# Nothing here has to survive a crash.
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300"}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give a run of root's a folder for temporary files of its own, if no other is given.

    PostgreSQL refuses root and runs as another user, who has to pass through the folders above its own. pytest's usual
    one is shared by all runs of a user, and each that starts closes it to others again: so it would end the servers of
    those that are under way.
    """
    is_worker = hasattr(config, "workerinput")
    if os.name == "posix" and os.geteuid() == 0 and not is_worker and config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="adiuva-tests-")
        config.stash[_OWN_FOLDER] = Path(config.option.basetemp)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove that folder, unless there may be something to see in it."""
    folder = session.config.stash.get(_OWN_FOLDER, None)
    if folder is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a server with a migrated database named ``template``."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    embedded = None
    with _users_of(folder) as users:
        if not users:
            embedded = EmbeddedPostgres.start(folder / "postgres", options=_FAST)
            _make_template(embedded.dsn)
        else:
            embedded = EmbeddedPostgres.running(folder / "postgres")
            assert embedded is not None
        users.append(os.getpid())
    yield embedded.dsn
    with _users_of(folder) as users:
        users.remove(os.getpid())
        if not users:
            _kill(folder / "postgres")


@pytest.fixture(scope="session")
def databases(postgres: str) -> Databases:
    """Where migrated databases come from, and go back to."""
    return Databases(postgres, "template")


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A database of this test's own, migrated."""
    with databases.take() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """A database of this test's own, with nothing in it."""
    name = create(postgres, "template0")
    yield database_of(postgres, name)
    drop(postgres, name)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with nothing in common with another test's; hashing is cheap."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        jwt_secret=f"for-this-test-{uuid4().hex}",
        bcrypt_rounds=4,
        shutdown_grace_seconds=0.5,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pool on this test's database."""
    database = await Database.connect(settings)
    yield database
    await database.close()


@contextmanager
def _users_of(folder: Path) -> Iterator[list[int]]:
    """The processes that use this run's server, for one of them at a time."""
    with (folder / "users.json").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = orjson.loads(file.read() or b"[]")
        yield users
        file.truncate(0)
        file.write(orjson.dumps(users))


def _make_template(dsn: str) -> None:
    import psycopg

    from adiuva.migrate import apply

    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute("CREATE DATABASE template STRATEGY FILE_COPY")
    template = database_of(dsn, "template")
    apply(template)
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(PREPARE)


def _kill(folder: Path) -> None:
    """At once: what is in it is thrown away."""
    postmaster = int((folder / "postmaster.pid").read_text().split("\n")[0])
    with suppress(ProcessLookupError):
        os.kill(postmaster, signal.SIGQUIT)

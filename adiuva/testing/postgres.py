"""Fixtures with a real PostgreSQL: one server for a whole test run, and a fresh copy of the migrated schema a test.

Load them with ``pytest_plugins = ["adiuva.testing.postgres"]``. Under pytest-xdist the workers share the server: the
first that needs it starts it, the last one stops it.
"""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import orjson
import pytest

from adiuva.database import Database
from adiuva.embedded import EmbeddedPostgres
from adiuva.settings import Settings

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


@pytest.fixture
async def database_url(postgres: str) -> AsyncIterator[str]:
    """A database of this test's own, migrated."""
    async with _new_database(postgres, template="template") as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres: str) -> AsyncIterator[str]:
    """A database of this test's own, with nothing in it."""
    async with _new_database(postgres, template="template0") as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with nothing in common with another test's; hashing is cheap."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        jwt_secret=f"for-this-test-{uuid4().hex}",
        bcrypt_rounds=4,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pool on this test's database."""
    database = await Database.connect(settings)
    yield database
    await database.close()


@asynccontextmanager
async def _new_database(dsn: str, *, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(dsn)
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield _database_of(dsn, name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


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
    apply(_database_of(dsn, "template"))


def _database_of(dsn: str, name: str) -> str:
    return dsn.replace("/postgres?", f"/{name}?")


def _kill(folder: Path) -> None:
    """At once: what is in it is thrown away."""
    postmaster = int((folder / "postmaster.pid").read_text().split("\n")[0])
    with suppress(ProcessLookupError):
        os.kill(postmaster, signal.SIGQUIT)

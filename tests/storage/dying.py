"""Processes that store, replace and delete records, and are killed in the middle; started by test_crashes.py.

Reads a ``Plan`` from standard input. Each life is a fork that ends by SIGKILL; what it had begun and what it had been
told is done goes through a pipe to the parent, which prints what each record may be in the end.
"""

import asyncio
import hashlib
import os
import random
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
from attrs import define, field, frozen

from adiuva import clock
from adiuva.blobs.files import FileStore
from adiuva.database import Database
from adiuva.errors import UnavailableError
from adiuva.settings import Settings
from adiuva.storage.service import Records
from adiuva.storage.uploads.models import Body
from adiuva.storage.uploads.service import Uploads
from adiuva.web.access import Principal

ABSENT = ""  # in place of a checksum
CHUNK = 50_000


@frozen(kw_only=True)
class Plan:
    database_url: str
    folder: str
    user: str
    lease: float
    lives: int
    operation: str  # "create", "replace", "delete": that one, killed at ``point``; "any": all sorts, killed anywhere
    point: str
    seed: int
    steps: int = 1  # of each worker, in a life of "any"
    workers: int = 1


@define
class Outcome:
    """What each record may be: one checksum where it is certain, two where something was under way."""

    records: dict[str, list[str]] = field(factory=dict)
    steps: int = 0

    def note(self, line: bytes) -> None:
        note = orjson.loads(line)
        self.steps += note["done"]
        allowed = self.records.get(note["id"], [ABSENT])
        self.records[note["id"]] = [note["checksum"]] if note["done"] else [*allowed, note["checksum"]]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Life:
    """One process's work until its death."""

    def __init__(self, plan: Plan, pipe: int, rng: random.Random) -> None:
        self._plan, self._pipe, self._rng = plan, pipe, rng
        self._principal = Principal(
            user_id=UUID(plan.user),
            email="",
            tier="pro",
            is_admin=False,
            created_at=clock.now(),
            login_id=uuid4(),
            expires_at=clock.now(),
        )
        self._half: Callable[[], None] = lambda: None

    async def live(self, known: list[list[str]]) -> None:
        database = await Database.connect(Settings(database_url=self._plan.database_url))
        uploads = Uploads(database=database, blobs=FileStore(Path(self._plan.folder)), lease_seconds=self._plan.lease)
        await uploads.start()
        records = Records(database=database, uploads=uploads)
        if self._plan.operation == "any":
            left = self._rng.randrange(self._plan.steps * self._plan.workers * 4)

            def count(_: str) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    die()

            uploads.reached = count
            await asyncio.gather(*(self._work(records, ids) for ids in known))
        else:
            await self._once(records, uploads)
        await asyncio.sleep(10)
        die()

    async def _once(self, records: Records, uploads: Uploads) -> None:
        record_id = str(uuid4())
        if self._plan.operation != "create":
            await self._step(records, "create", record_id)
            while uploads._tasks:
                await asyncio.sleep(0)
        if self._plan.point == "half":
            self._half = die
        uploads.reached = lambda point: die() if point == self._plan.point else None
        await self._step(records, self._plan.operation, record_id)

    async def _work(self, records: Records, ids: list[str]) -> None:
        for _ in range(self._plan.steps):
            operation = self._rng.choice(["create", "replace", "replace", "delete"]) if ids else "create"
            record_id = str(uuid4()) if operation == "create" else self._rng.choice(ids)
            try:
                await self._step(records, operation, record_id)
            except UnavailableError:
                ids[:] = [known for known in ids if known != record_id]  # a lease lost to a busy machine
                continue
            if operation == "create":
                ids.append(record_id)
            elif operation == "delete":
                ids.remove(record_id)

    async def _step(self, records: Records, operation: str, record_id: str) -> None:
        content = self._rng.randbytes(self._rng.randrange(4 * CHUNK))
        checksum = hashlib.sha256(content).hexdigest() if operation != "delete" else ABSENT
        self._say(record_id, checksum, done=False)
        body = Body(checksum=checksum, length=len(content), chunks=self._chunks(content))
        match operation:
            case "create":
                await records.create(self._principal, "notes", UUID(record_id), body)
            case "replace":
                await records.replace(self._principal, UUID(record_id), body, None)
            case "delete":
                await records.delete(self._principal, UUID(record_id), None)
        self._say(record_id, checksum, done=True)

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        self._half()
        yield content[len(content) // 2 :]

    def _say(self, record_id: str, checksum: str, *, done: bool) -> None:
        os.write(self._pipe, orjson.dumps({"id": record_id, "checksum": checksum, "done": done}) + b"\n")


def one_life(plan: Plan, outcome: Outcome, rng: random.Random) -> None:
    certain = [known for known, allowed in outcome.records.items() if len(allowed) == 1 and allowed != [ABSENT]]
    known = [certain[worker :: plan.workers] for worker in range(plan.workers)]
    seed = rng.random()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(Life(plan, writing, random.Random(seed)).live(known))
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            outcome.note(line)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was to be killed, and ended by itself"


def main() -> None:
    given: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    plan, outcome = Plan(**given), Outcome()
    rng = random.Random(plan.seed)
    for _ in range(plan.lives):
        one_life(plan, outcome, rng)
    sys.stdout.buffer.write(orjson.dumps({"records": outcome.records, "steps": outcome.steps}))


if __name__ == "__main__":
    main()

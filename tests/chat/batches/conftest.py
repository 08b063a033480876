"""A client of batches: it has a key, and opens what was sealed to it."""

import asyncio
import base64
from typing import Any

import orjson
import pytest
from attrs import define, field
from nacl.public import PrivateKey, SealedBox

from tests.chat.conftest import API, Start, User, agent, model, register, start, user

__all__ = ["agent", "model", "start", "user"]  # fixtures of the chat's tests


@define
class Client:
    """A user who posts batches."""

    user: User
    key: PrivateKey = field(factory=PrivateKey.generate)

    @property
    def public_key(self) -> str:
        return base64.b64encode(bytes(self.key.public_key)).decode()

    async def post(self, *items: object, **more: object) -> tuple[int, dict[str, Any]]:
        return await self.user.post("/batches", {"public_key": self.public_key, "items": items, **more})

    async def posted(self, *items: object) -> str:
        """The id of a batch that was accepted."""
        status, batch = await self.post(*items)
        assert status == 202, batch
        batch_id: str = batch["id"]
        return batch_id

    async def get(self, batch_id: str) -> dict[str, Any]:
        status, batch = await self.user.get(f"/batches/{batch_id}")
        assert status == 200, batch
        return batch

    async def finished(self, batch_id: str) -> dict[str, Any]:
        """The batch once it has finished; the limits of these tests allow to ask often."""
        async with asyncio.timeout(20):
            while (batch := await self.get(batch_id))["status"] != "finished":
                await asyncio.sleep(0.01)
        return batch

    async def results(self, batch_id: str) -> dict[str, dict[str, Any]]:
        """What the results say, by item."""
        status, answer = await self.user.get(f"/batches/{batch_id}/results?limit=200")
        assert status == 200, answer
        opened = {}
        for item in answer["items"]:
            content = self.open(item["sealed"])
            assert content.pop("batch_id") == batch_id
            assert content.pop("item_id") == item["id"]
            assert ("error" in content) == (item["status"] == "failed")
            opened[item["id"]] = content
        return opened

    async def ran(self, *items: object) -> dict[str, dict[str, Any]]:
        """Post a batch, and give its results once it has finished."""
        batch_id = await self.posted(*items)
        await self.finished(batch_id)
        return await self.results(batch_id)

    async def delete(self, batch_id: str) -> int:
        async with self.user.client.delete(f"{API}/batches/{batch_id}", headers=self.user.headers) as answer:
            return answer.status

    def open(self, sealed: str) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(SealedBox(self.key).decrypt(base64.b64decode(sealed)))
        return content


LIMITS = dict.fromkeys(("free", "pro", "power", "team"), 100_000)


@pytest.fixture
async def client(start: Start) -> Client:
    """A user of a server on which everyone has the tier power, and asks as often as they like."""
    return Client(await register(await start(default_tier="power", rate_limits=LIMITS)))


def ask(message: str = "Hi", **more: object) -> dict[str, object]:
    """An item for the task agent."""
    return {"message": message, "agents": ["task_agent"], **more}

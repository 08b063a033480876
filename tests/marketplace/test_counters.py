"""The counters that the database keeps: right after any interleaving."""

import asyncio
import random
from fractions import Fraction
from typing import Any

import pytest
from attrs import define, field

from tests.marketplace.conftest import Answer, Person, Place, publish

PLUGIN = "/plugins/garden-planner"


@define
class Crowd:
    """People who install, uninstall and rate all at once, and what each of them was answered."""

    place: Place
    people: list[Person]
    installs: int = 0  # that were new, less those that were taken back
    raters: set[str] = field(factory=set)

    async def rush(self, seed: int, count: int) -> None:
        """``count`` calls of random people, all at once."""
        chance = random.Random(seed)
        await asyncio.gather(*(self._act(chance.choice(self.people), chance.random(), chance) for _ in range(count)))

    async def _act(self, person: Person, what: float, chance: random.Random) -> None:
        if what < 0.4:
            status, _ = await person.post(f"{PLUGIN}/install")
            assert status in {200, 201}
            self.installs += status == 201
        elif what < 0.65:
            status, _ = await person.delete(f"{PLUGIN}/install")
            assert status in {204, 404}
            self.installs -= status == 204
        else:
            status, rating = await person.put(f"{PLUGIN}/rating", {"stars": chance.randint(1, 5)})
            assert status in {200, 409}
            if status == 200:
                assert 1 <= rating["avg_rating"] <= 5
                self.raters.add(person.email)

    async def check(self) -> None:
        """The counters are what was answered, and what the rows say."""
        plugin = await self.people[0].plugin("garden-planner")
        rows = await self.place.value("SELECT count(*) FROM plugin_installations WHERE plugin_id = 'garden-planner'")
        assert plugin["install_count"] == self.installs == rows
        stars = [row["stars"] for row in await self.place.sql("SELECT stars FROM plugin_ratings")]
        assert plugin["rating_count"] == len(self.raters) == len(stars)
        mean = float(Fraction(sum(stars), len(stars))) if stars else None
        assert plugin["avg_rating"] == mean


@pytest.fixture
async def crowd(place: Place, author: Person, admin: Person) -> Crowd:
    await publish(author, admin)
    return Crowd(place, await place.people(12))


async def test_counters_are_right_after_100_calls_at_once(crowd: Crowd) -> None:
    for seed in range(2):
        await crowd.rush(seed, 100)
        await crowd.check()


@pytest.mark.proof
async def test_counters_are_right_after_any_of_30_interleavings_of_100_calls(crowd: Crowd) -> None:
    for seed in range(30):
        await crowd.rush(1000 + seed, 100)
        await crowd.check()


@pytest.mark.proof
async def test_100_parallel_installs_of_one_user_are_one_and_500_ratings_give_the_exact_mean(
    place: Place, author: Person, admin: Person
) -> None:
    """MK9."""
    await publish(author, admin, price_cents=999)
    people = [person for _ in range(20) for person in await place.people(25)]
    answers = await asyncio.gather(*(people[0].post(f"{PLUGIN}/install") for _ in range(100)))
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    assert (await author.plugin("garden-planner"))["install_count"] == 1
    assert await place.value("SELECT count(*) FROM revenue_events") == 1

    gate = asyncio.Semaphore(20)  # as many as the pool has connections: nobody has to wait too long for one
    chance = random.Random(9)
    stars = [chance.randint(1, 5) for _ in people]

    async def rate(person: Person, mark: int) -> Answer:
        async with gate:
            await person.done("POST", f"{PLUGIN}/install")
            rated: tuple[int, Any] = await person.put(f"{PLUGIN}/rating", {"stars": mark})
            return rated

    answers = await asyncio.gather(*(rate(person, mark) for person, mark in zip(people, stars, strict=True)))
    assert {status for status, _ in answers} == {200}
    plugin = await author.plugin("garden-planner")
    assert (plugin["install_count"], plugin["rating_count"]) == (500, 500)
    assert plugin["avg_rating"] == float(Fraction(sum(stars), 500))

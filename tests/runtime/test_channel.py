"""The bounded queue between the two sides of a request."""

import asyncio

import pytest

from adiuva.runtime.channel import Channel, ChannelClosedError
from tests.runtime.conftest import turns


async def test_items_come_out_in_order_and_the_end_after_them() -> None:
    channel = Channel(3)
    for item in (1, 2, 3):
        await channel.put(item)
    channel.close()
    assert [await channel.get() for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ChannelClosedError):
        await channel.get()


async def test_put_waits_for_room() -> None:
    channel = Channel(1)
    await channel.put(1)
    putting = asyncio.create_task(channel.put(2))
    await turns()
    assert not putting.done()
    assert await channel.get() == 1
    await putting
    assert await channel.get() == 2


async def test_a_cancelled_getter_hands_its_turn_on() -> None:
    channel = Channel(1)
    first, second = asyncio.create_task(channel.get()), asyncio.create_task(channel.get())
    await turns()
    await channel.put("item")  # wakes the first
    first.cancel()
    assert await second == "item"


async def test_a_cancelled_putter_hands_its_turn_on() -> None:
    channel = Channel(1)
    await channel.put("a")
    first, second = asyncio.create_task(channel.put("b")), asyncio.create_task(channel.put("c"))
    await turns()
    assert await channel.get() == "a"  # wakes the first
    first.cancel()
    await second
    assert await channel.get() == "c"


async def test_whoever_gives_up_while_waiting_takes_no_later_turn() -> None:
    channel = Channel(1)
    first, second = asyncio.create_task(channel.get()), asyncio.create_task(channel.get())
    await turns()
    first.cancel()
    await turns()
    await channel.put("item")
    assert await second == "item"


async def test_closing_releases_who_waits() -> None:
    full, empty = Channel(1), Channel(1)
    await full.put(1)
    putting, getting = asyncio.create_task(full.put(2)), asyncio.create_task(empty.get())
    await turns()
    full.close()
    empty.close()
    await putting
    with pytest.raises(ChannelClosedError):
        await getting
    assert await full.get() == 1
    with pytest.raises(ChannelClosedError):
        await full.get()


async def test_putting_into_a_muted_channel_gives_way_so_that_a_cancel_can_arrive() -> None:
    channel = Channel(1)
    channel.mute()

    async def chatter() -> None:
        while True:
            await channel.put("x")

    task = asyncio.create_task(chatter())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_muted_channel_drops_everything_but_its_end() -> None:
    channel = Channel(1)
    await channel.put(1)
    putting = asyncio.create_task(channel.put(2))
    await turns()
    channel.mute()
    await putting
    getting = asyncio.create_task(channel.get())
    await channel.put(3)
    await turns()
    assert not getting.done()
    channel.close()
    with pytest.raises(ChannelClosedError):
        await getting

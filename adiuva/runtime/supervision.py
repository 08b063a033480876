"""Starting an actor, and trying again."""

import asyncio

from adiuva.runtime.actor import Actor

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
FATAL = (KeyboardInterrupt, GeneratorExit)  # not the actor's fault: the process is to end, or the task is destroyed


def pause_before(attempt: int) -> float:
    """Seconds to wait before start ``attempt``, counted from 1 for the first repetition."""
    return min(FIRST_PAUSE * 2.0 ** min(attempt - 1, 20), LONGEST_PAUSE)


async def try_to_start(actor: Actor) -> BaseException | None:
    """Call ``on_start``; what it raised, if it did so by itself and not because the running task was cancelled."""
    task = asyncio.current_task()
    try:
        await actor.on_start()
    except BaseException as error:
        if isinstance(error, FATAL) or (task is not None and task.cancelling()):
            raise
        return error
    return None

"""All actors of a process."""

import asyncio
from contextlib import suppress

from adiuva.errors import ConflictError, GoingAwayError, NotFoundError
from adiuva.runtime.actor import Actor
from adiuva.runtime.cell import Cell
from adiuva.runtime.ref import ActorRef
from adiuva.runtime.tracing import Tracing


class ActorSystem:
    """Starts actors, finds them by name, and stops them together."""

    def __init__(self, *, patience: float = 5.0, tracing: Tracing | None = None) -> None:
        """``patience``: the seconds that a cancelled handler has to end before it is abandoned."""
        self._patience = patience
        self._tracing = tracing
        self._cells: dict[str, Cell] = {}
        self._stopping = False

    async def start(self, actor: Actor) -> ActorRef:
        """Start ``actor`` in the background; messages may be sent at once. A start that fails is tried again for ever.

        Raises:
            ConflictError: there is an actor of that name.
            GoingAwayError: the system is stopping.
        """
        if self._stopping:
            raise GoingAwayError
        if actor.name in self._cells:
            raise ConflictError(f"There is an actor named {actor.name} already.")
        cell = self._cells[actor.name] = Cell(actor, patience=self._patience, tracing=self._tracing)
        return ActorRef(cell)

    def ref(self, name: str) -> ActorRef:
        """The actor of that name.

        Raises:
            NotFoundError: there is none.
        """
        if (cell := self._cells.get(name)) is None:
            raise NotFoundError(f"There is no actor named {name}.")
        return ActorRef(cell)

    def refs(self) -> tuple[ActorRef, ...]:
        """All actors, in the order they were started."""
        return tuple(ActorRef(cell) for cell in self._cells.values())

    def ready(self) -> dict[str, str]:
        """Each actor's name, with ``ok``, or the state it is in and the class of what its last start raised."""
        return {name: _describe(cell) for name, cell in self._cells.items()}

    async def remove(self, name: str, *, grace: float = 5.0) -> None:
        """Stop one actor as ``stop`` does; its name is free at once.

        Raises:
            NotFoundError: there is none of that name.
        """
        cell = self._cells.pop(name, None)
        if cell is None:
            raise NotFoundError(f"There is no actor named {name}.")
        cell.close(takes_children=False)
        await _stop([cell], grace)

    async def stop(self, grace: float) -> None:
        """Refuse new messages, let waiting and running ones end for ``grace`` seconds, then cancel them.

        Whoever still waits for an answer then gets GoingAwayError. Handlers may ask other actors until the grace is
        over. Calling it again while it runs shortens the grace to the earlier end.
        """
        self._stopping = True
        cells = list(self._cells.values())
        for cell in cells:
            cell.close(takes_children=True)
        await _stop(cells, grace)


def _describe(cell: Cell) -> str:
    if cell.state == "running":
        return "ok"
    return cell.state if cell.start_error is None else f"{cell.state}: {cell.start_error}"


async def _stop(cells: list[Cell], grace: float) -> None:
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while busy := next((cell for cell in cells if cell.busy), None):
                    await busy.quiet()
    finally:  # also if whoever stops us has no more patience
        for cell in cells:
            cell.cut_off()
    for cell in reversed(cells):
        await cell.finish()

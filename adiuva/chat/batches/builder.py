"""From the body of a batch to its items; the batch builder: items that use the results of earlier ones."""

from collections.abc import Sequence

from adiuva.chat.batches.batch import Item
from adiuva.chat.batches.models import ItemRequest
from adiuva.errors import ValidationFailedError
from adiuva.web import wire


def build_items(requests: Sequence[ItemRequest]) -> tuple[Item, ...]:
    """The items of a batch, each with those that it uses.

    An item uses only items before it, so that no two can wait for each other.

    Raises:
        ValidationFailedError: ids that are not unique, or an item that uses what it cannot.
    """
    ids = [request.id if request.id is not None else str(index) for index, request in enumerate(requests)]
    plans = {item_id for item_id, request in zip(ids, requests, strict=True) if request.mode == "plan"}
    built: dict[str, Item] = {}
    faults: list[tuple[str, str]] = []
    for index, (item_id, request) in enumerate(zip(ids, requests, strict=True)):
        path = f"items[{index}]"
        if item_id in built:
            faults.append((f"{path}.id", "is the id of an earlier item"))
        if request.use and item_id in plans:
            faults.append((f"{path}.use", "must be empty: a plan uses no results"))
        for position, used in enumerate(request.use):
            if fault := _fault(used, item_id, ids=ids, built=built, plans=plans):
                faults.append((f"{path}.use[{position}]", fault))
        uses = tuple(built[used] for used in dict.fromkeys(request.use) if used in built)
        built.setdefault(item_id, Item(id=item_id, uses=uses, request=wire.dump(request)))
    if faults:
        raise ValidationFailedError(faults)
    return tuple(built.values())


def _fault(used: str, item_id: str, *, ids: list[str], built: dict[str, Item], plans: set[str]) -> str | None:
    """Why an item cannot use the item of that id."""
    if used == item_id:
        return "is the item itself"
    if used not in ids:
        return "is no item of this batch"
    if used not in built:
        return "comes after this item"
    if used in plans:
        return "is a plan, which has no result to use"
    return None

"""The mailbox: fair between users, in order for each."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from adiuva.runtime.mailbox import Mailbox


def take_all(mailbox: Mailbox[str]) -> list[str]:
    taken = []
    while (item := mailbox.take()) is not None:
        taken.append(item)
    return taken


def test_users_take_turns() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        mailbox.put(item[0], item)
    assert take_all(mailbox) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_an_empty_mailbox_gives_nothing() -> None:
    mailbox: Mailbox[str] = Mailbox()
    assert mailbox.take() is None
    assert mailbox.size == 0


def test_a_removed_item_is_never_taken() -> None:
    mailbox: Mailbox[str] = Mailbox()
    for item in ("a1", "a2", "b1"):
        mailbox.put(item[0], item)
    mailbox.remove("a", "a1")
    mailbox.remove("b", "b1")
    assert mailbox.size == 1
    assert take_all(mailbox) == ["a2"]


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "remove"]), st.sampled_from("abc"))))
def test_nothing_is_lost_or_reordered_within_a_user(steps: list[tuple[str, str]]) -> None:
    mailbox: Mailbox[int] = Mailbox()
    waiting: dict[str, list[int]] = defaultdict(list)
    for number, (step, user) in enumerate(steps):
        if step == "put":
            mailbox.put(user, number)
            waiting[user].append(number)
        elif step == "take":
            taken = mailbox.take()
            assert (taken is None) == (not any(waiting.values()))
            if taken is not None:
                owner = next(name for name, line in waiting.items() if taken in line)
                assert waiting[owner].pop(0) == taken
        elif waiting[user]:
            mailbox.remove(user, waiting[user].pop(len(waiting[user]) // 2))
        assert mailbox.size == sum(map(len, waiting.values()))

"""Which names users would confuse."""

import pytest

from adiuva.marketplace.submissions.likeness import are_alike, mixes_scripts


@pytest.mark.parametrize(
    "name, other",
    [
        ("Time Tracker", "time-tracker"),
        ("Time Tracker", "TimeTracker"),
        ("Time Tracker", "Tirne Tracker"),
        ("Time Tracker", "Tíme Träcker"),
        ("Time Tracker", "Тіме Тrасkеr"),
        ("Time Tracker", "Time Tracker!"),
        ("Time Tracker", "Time Trakcer"),
        ("Time Tracker", "Time Tracer"),
        ("Time Tracker", "Time Trackers"),
        ("Time Tracker", "Time Tracker 2"),
        ("Time Tracker", "𝕋𝕚𝕞𝕖 𝕋𝕣𝕒𝕔𝕜𝕖𝕣"),
        ("Slack", "5lack"),
        ("Illustrate", "lIlustrate"),
    ],
)
def test_these_look_alike(name: str, other: str) -> None:
    assert are_alike(name, other)
    assert are_alike(other, name)


@pytest.mark.parametrize(
    "name, other",
    [
        ("Time Tracker", "Time Keeper"),
        ("GitHub Sync", "GitLab Sync"),
        ("Garden 1", "Garden 2"),
        ("Garden 1", "Garden 12"),
        ("Notes", "Votes"),
        ("日本語", "日本"),
        ("…", "!?"),
    ],
)
def test_these_are_told_apart(name: str, other: str) -> None:
    assert not are_alike(name, other)
    assert not are_alike(other, name)


def test_letters_of_several_alphabets_are_found_where_nobody_writes_them_together() -> None:
    assert mixes_scripts("Gаrden")
    assert mixes_scripts("Αda")
    assert not any(map(mixes_scripts, ["Garden", "Сад", "Κήπος", "庭 Niwa にわ", "2024 ✓", "ＡＢＣ", "Œuvre"]))

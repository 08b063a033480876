"""Who cannot see the page, or sees it in the dark, large, small or still, can use it too (WCAG 2.2)."""

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from adiuva.testing.models import ScriptedModel, calling, turn
from tests.marketplace.conftest import GARDEN, Place, publish
from tests.web.page.chromium import Page
from tests.web.page.conftest import Open, go
from tests.web.page.test_page import ANSWERED, say

pytestmark = [pytest.mark.xdist_group("browser")]

CONTROLS = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "meter", "DisclosureTriangle", "img"}

# Every text that is seen, and how its colour stands out from what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgba(getComputedStyle(each).backgroundColor);
      if (color[3] > 230) return color;
    }
    return [255, 255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(".unseen")) continue;
    if (element.closest(":disabled")) continue;
    seen += 1;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(rgba(style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return { seen, faint };
})()
"""


DANGLING = """
["aria-describedby", "aria-labelledby", "for"].flatMap((name) =>
  [...document.querySelectorAll(`[${name}]`)].flatMap((each) => each.getAttribute(name).split(" ")),
).filter((id) => !document.getElementById(id))
"""


async def sign_in_page(page: Page) -> None:
    await page.click("Sign in", "#account a")
    await page.until("document.querySelector('h1').textContent === 'Sign in'")
    await page.press("Enter")
    await page.until("document.activeElement.localName === 'h1'")
    await page.click("Sign in", "main button")
    await page.sees("It is missing.", ".fault")


async def chat(page: Page) -> None:
    await page.until("document.querySelector('.composer')")
    await say(page, "Do it")
    await page.until(ANSWERED)
    await page.sees("needs your confirmation", ".action")


VIEWS: dict[str, Callable[[Page], Awaitable[None]]] = {
    "chat": chat,
    "agents": lambda page: go(page, "Agents", "Agents"),
    "storage": lambda page: go(page, "Storage", "Storage"),
    "plugins": lambda page: go(page, "Plugins", "Plugins"),
    "review": lambda page: go(page, "Review", "Review queue"),
    "server": lambda page: go(page, "Server", "This server"),
}


def value(node: dict[str, Any], name: str) -> str:
    return str(node.get(name, {}).get("value", ""))


async def check_tree(page: Page) -> None:
    """What assistive technology is given: names of controls, one title, landmarks, headings in order."""
    nodes = await page.nodes()
    roles = Counter(value(node, "role") for node in nodes)
    nameless = [node for node in nodes if value(node, "role") in CONTROLS and not value(node, "name").strip()]
    assert nameless == []
    assert (roles["main"], roles["banner"], roles["navigation"], roles["contentinfo"]) == (1, 1, 1, 1)
    levels = [
        int(each["value"]["value"])
        for node in nodes
        if value(node, "role") == "heading"
        for each in node["properties"]
        if each["name"] == "level"
    ]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    ids = await page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert await page.evaluate(DANGLING) == []
    assert await page.evaluate("document.documentElement.lang") == "en"
    assert (await page.evaluate("document.title")).endswith(" · Adiuva")


async def check_looks(page: Page) -> None:
    """Colours in light and dark, and room on a small screen."""
    for scheme in ("light", "dark"):
        await page.media(color_scheme=scheme)
        found = await page.evaluate(CONTRAST)
        assert found["seen"] > 5
        assert found["faint"] == [], scheme
    await page.resize(320, 640)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.resize(1280, 900)


async def test_everyone_s_pages_can_be_used_by_everyone(place: Place, open_at: Open) -> None:
    page = await open_at(place)
    await page.sees("Everything is ready.")
    await check_tree(page)
    await check_looks(page)
    await sign_in_page(page)
    await check_tree(page)
    await check_looks(page)


@pytest.mark.proof
async def test_every_view_can_be_used_by_everyone(place: Place, model: ScriptedModel, open_at: Open) -> None:
    author, admin = await place.person("team"), await place.person("team", admin=True)
    await publish(author, admin)
    await admin.done("POST", "/plugins/garden-planner/install")
    await author.done("POST", "/plugins", GARDEN | {"id": "tide-table", "name": "Tide Table"})
    await place.sql("INSERT INTO storage_usage (user_id, kind, used_bytes) SELECT id, 'records', 5 FROM users")
    model.add([turn(calling("create_task", title="One")), turn(calling("delete_task", task_id="1")), "Done."])
    page = await open_at(place, admin, "#/chat")
    for show in VIEWS.values():
        await show(page)
        await check_tree(page)
        await check_looks(page)


async def test_what_moves_stays_still_for_those_who_want_that(page: Page) -> None:
    moving = "getComputedStyle(document.querySelector('button')).transitionDuration"
    await page.sees("Everything is ready.")
    assert await page.evaluate(moving) != "0s"
    await page.media(reduced_motion="reduce")
    assert await page.evaluate(moving) == "0s"

"""A real Chromium, driven over its DevTools protocol: a WebSocket of JSON, so that aiohttp is all it takes.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from attrs import define, field

NAMES = ("chromium", "chromium-browser", "chrome-headless-shell", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 10.0

# The page tells what its policy refused, by a function that only the test has put there.
_WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  told(JSON.stringify(`${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`)));
"""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


def program() -> str | None:
    """Where Chromium is on this machine, if it is; ``CHROMIUM`` names another place."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A browser whose profile is ``folder``; the address of its DevTools socket."""
    path = program()
    assert path is not None
    options = ["--headless=new", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # its sandbox does not work for root
    process = subprocess.Popen(
        [path, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("DevTools listening on "):
                break
        else:
            raise AssertionError("".join(lines))
        yield lines[-1].split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


@define
class Page:
    """One tab, in a profile of its own; what it said, asked for and was refused is kept for the test to look at."""

    origin: str
    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    complaints: list[str] = field(factory=list)  # errors, warnings, and what the policy refused
    requests: list[str] = field(factory=list)
    _numbers: Iterator[int] = field(factory=count)
    _waiting: dict[int, asyncio.Future[Any]] = field(factory=dict)
    _loaded: asyncio.Event = field(factory=asyncio.Event)

    async def send(self, method: str, /, **params: Any) -> Any:
        """One command, and what comes of it."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        await self.socket.send_json(command | ({"sessionId": self.session} if self.session else {}))
        async with asyncio.timeout(SECONDS):
            return await answer

    async def read(self) -> None:
        """Take what the browser sends, for as long as it does."""
        async for message in self.socket:
            said = json.loads(message.data)
            if (waiting := self._waiting.pop(said.get("id", -1), None)) is not None and not waiting.done():
                if "error" in said:
                    waiting.set_exception(AssertionError(said["error"]["message"]))
                else:
                    waiting.set_result(said["result"])
            self._note(said.get("method"), said.get("params", {}))

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console: {[each.get('value') for each in params['args']]}")
            case "Runtime.exceptionThrown":
                self.complaints.append(f"exception: {params['exceptionDetails']}")
            case "Runtime.bindingCalled":
                self.complaints.append(f"policy: {params['payload']}")
            case "Log.entryAdded" if params["entry"]["source"] != "network":  # those are answers such as 422
                self.complaints.append(f"log: {params['entry']['text']}")
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"dialog: {params['message']}")
            case "Page.loadEventFired":
                self._loaded.set()

    async def before_all_else(self, script: str) -> None:
        """Run ``script`` in each page before its own."""
        await self.send("Page.addScriptToEvaluateOnNewDocument", source=f"{{{script}}}")

    async def visit(self, path: str = "/") -> None:
        """Go there, and wait until it is loaded."""
        self._loaded.clear()
        await self.send("Page.navigate", url=self.origin + path)
        async with asyncio.timeout(SECONDS):
            await self._loaded.wait()

    async def reload(self) -> None:
        """As by the button of the browser."""
        self._loaded.clear()
        await self.send("Page.reload")
        async with asyncio.timeout(SECONDS):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """What the expression, or what it promises, is in the page."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until that expression is true."""
        found = await self.evaluate(
            f"""new Promise((resolve) => {{
              const end = performance.now() + {SECONDS * 700};
              const look = () => {{
                const found = (() => {condition})();
                if (found || performance.now() > end) resolve(Boolean(found)); else setTimeout(look, 15);
              }};
              look();
            }})"""
        )
        assert found, f"never came to be: {condition}\nThe page says: {await self.text('main')}"

    async def text(self, selector: str) -> str:
        """The text of the first element that there is, as it is written."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    async def sees(self, text: str, selector: str = "main") -> None:
        """Wait until an element has this text."""
        among = f"[...document.querySelectorAll({json.dumps(selector)})]"
        await self.until(f"{among}.some((each) => each.textContent.includes({json.dumps(text)}))")

    async def click(self, name: str, selector: str = "button, a, summary") -> None:
        """Click, with the mouse, on what has this text or label."""
        named = f"(each.getAttribute('aria-label') ?? each.textContent).trim() === {json.dumps(name)}"
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})].find((each) => {named} && each.checkVisibility())"
        )
        await self.until(f"{find} && !{find}.disabled")
        at = await self.evaluate(
            f"(() => {{ const found = {find}; found.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        where = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
        await self.send("Input.dispatchMouseEvent", type="mousePressed", **where)
        await self.send("Input.dispatchMouseEvent", type="mouseReleased", **where)

    async def fill(self, label: str, text: str) -> None:
        """Put a text into the control with this label."""
        named = f"each.labels?.[0]?.textContent === {json.dumps(label)}"
        controls = "[...document.querySelectorAll('input, textarea, select')]"
        find = f"{controls}.find((each) => {named} && each.checkVisibility())"
        await self.until(find + " !== undefined")
        await self.evaluate(f"(() => {{ const found = {find}; found.focus(); found.select?.(); }})()")
        await self.type(text)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        down = {**about, "modifiers": 8 if shift else 0, **({"text": text} if text else {})}
        await self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **down)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **about, modifiers=8 if shift else 0)

    async def focused(self) -> str:
        """The label or the text of what has the focus."""
        return str(
            await self.evaluate(
                "(() => { const it = document.activeElement; return (it.getAttribute('aria-label')"
                " ?? it.labels?.[0]?.textContent ?? it.textContent).trim(); })()"
            )
        )

    async def nodes(self) -> list[dict[str, Any]]:
        """The tree that assistive technology is given, without what it ignores."""
        tree = await self.send("Accessibility.getFullAXTree")
        return [node for node in tree["nodes"] if not node["ignored"]]

    async def media(self, **features: str) -> None:
        """Prefer something: ``color_scheme="dark"``."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        await self.send("Emulation.setEmulatedMedia", features=named)

    async def resize(self, width: int, height: int) -> None:
        """As on a screen of that many CSS pixels."""
        size = {"width": width, "height": height}
        await self.send("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=width < 600)

    async def shoot(self, path: Path) -> None:
        """A picture of the whole page."""
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    def foreign(self) -> list[str]:
        """The requests that went elsewhere."""
        own = {self.origin, self.origin.replace("http", "ws", 1)}
        return [url for url in self.requests if "{0.scheme}://{0.netloc}".format(urlsplit(url)) not in own]


@asynccontextmanager
async def open_page(devtools: str, origin: str) -> AsyncIterator[Page]:
    """A tab in a profile of its own."""
    async with aiohttp.ClientSession() as http, http.ws_connect(devtools, max_msg_size=0) as socket:
        page = Page(origin, socket)
        reader = asyncio.create_task(page.read())
        context = (await page.send("Target.createBrowserContext"))["browserContextId"]
        try:
            target = await page.send("Target.createTarget", url="about:blank", browserContextId=context)
            attached = await page.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            page.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                await page.send(f"{domain}.enable")
            await page.send("Runtime.addBinding", name="told")
            await page.before_all_else(_WATCH)
            await page.resize(1280, 900)
            yield page
        finally:
            page.session = ""
            await page.send("Target.disposeBrowserContext", browserContextId=context)
            reader.cancel()

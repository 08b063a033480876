"""Every block of the pages is run, or checked against what it is about; a block of a kind that no test knows fails."""

import ast
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import yaml

from adiuva import demo, sdk, testing
from adiuva.doctor import command as doctor
from adiuva.settings import Settings
from tests.docs import shell
from tests.docs.blocks import BLOCKS, DOCS, PAGES, ROOT, Block, of_kind

# The distribution of which page its Python is about; it is run by test_python.py.
AUTHORS_PAGES = {"agents.md", "plugins.md", "hooks.md", "testing.md", "tutorial.md"}
# What needs a server of its own: the test that runs all the Python of the page.
SERVED = {
    "client.md": "tests/client/test_docs.py::test_the_example_runs",
    "mcp.md": "tests/doors/test_mcp_docs.py::test_the_example_of_a_client_runs",
    "openai-door.md": "tests/doors/test_openai.py::test_the_example_of_the_guide_runs",
    "api-extensions.md": "tests/docs/test_python.py::test_a_result_of_a_batch_is_opened",
}


def _python(block: Block) -> list[str]:
    ast.parse(block.code)
    return [] if block.page in AUTHORS_PAGES | SERVED.keys() else ["no test runs this"]


def _sh(block: Block) -> list[str]:
    return [fault for words in shell.commands(block.code) for fault in shell.faults(words)]


def _json(block: Block) -> list[str]:
    orjson.loads(block.code)
    return []


def _toml(block: Block) -> list[str]:
    project = tomllib.loads(block.code)["project"]
    return [] if project["entry-points"]["adiuva"] else ["no entry point"]


def _ini(block: Block) -> list[str]:
    return shell.settings_faults(block.code)


def _yaml(block: Block) -> list[str]:
    """Prometheus's: what it asks is a port that the page sets."""
    jobs = yaml.safe_load(block.code).get("scrape_configs")
    if not jobs:
        return ["nothing is scraped"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    set_here = {f"{Settings().host}:{port}" for port in re.findall(r"METRICS_PORT=(\d+)", _ini_of(block.page))}
    return [f"nothing listens at {target}" for target in targets - set_here]


def _ini_of(page: str) -> str:
    return "".join(block.code for block in of_kind("ini") if block.page == page)


def _nginx(block: Block) -> list[str]:
    """Well-formed as far as its form goes, and about this server where it listens."""
    code = re.sub(r"#.*", "", block.code)
    wrong = [f"not a directive: {line}" for line in code.splitlines() if line.strip() and line.strip()[-1] not in "{};"]
    wrong += ["braces"] if code.count("{") != code.count("}") else []
    proxied = set(re.findall(r"proxy_pass (\S+);", code))
    here = f"http://{Settings().host}:{Settings().port}"
    return [*wrong, *([] if proxied == {here} or "deny all" in code else [f"proxies {proxied}, not {here}"])]


def _text(block: Block) -> list[str]:
    """What is shown in it comes from where it says."""
    if block.page == "README.md":
        said = re.findall(r"^> (.*)$", block.code, re.MULTILINE)
        return [f"the demo does not say {line}" for line in said if line not in Path(demo.__file__).read_text()]
    if block.page == "self-hosting.md":
        told = re.findall(r"^(?:ok|warning|fault) +(\w+)", block.code, re.MULTILINE)
        return [] if told == [name for name in doctor.CHECKS if name != "model"] else ["these are not doctor's checks"]
    client = (DOCS / "client.md").read_text().split("### Test vectors")[1]
    words = re.findall(r"data key|wrapping key|search secret", block.code)
    return [f"nothing has a {word}" for word in words if word.replace("data ", "").replace(" ", "_") not in client]


def _reference(block: Block) -> list[str]:
    module: object = sdk if "adiuva.sdk" in _home(block) else testing
    named = re.findall(r"^\.\. auto\w+:: (\w+)", block.code, re.MULTILINE)
    return [f"there is no {name}" for name in named if not hasattr(module, name)]


def _home(block: Block) -> str:
    earlier = [other.code for other in BLOCKS if other.page == block.page and other.line <= block.line]
    return str(re.findall(r"currentmodule:: (\S+)", "".join(earlier))[-1])


def _toctree(block: Block) -> list[str]:
    return [f"there is no page {name}" for name in _listed(block) if not (DOCS / f"{name}.md").exists()]


def _listed(block: Block) -> list[str]:
    """The pages of a toctree: ``page``, or ``Title <page>``."""
    return [line.split("<")[-1].rstrip(">") for line in block.code.splitlines() if line and not line.startswith(":")]


CHECKS: dict[str, Callable[[Block], list[str]]] = {
    "python": _python,
    "sh": _sh,
    "json": _json,
    "toml": _toml,
    "ini": _ini,
    "nginx": _nginx,
    "yaml": _yaml,
    "text": _text,
    "{eval-rst}": _reference,
    "{toctree}": _toctree,
}


def faults(block: Block) -> list[str]:
    check = CHECKS.get(block.kind)
    return check(block) if check else [f"{block.kind or 'no kind'}: a block of a kind that no test knows"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_run_or_right(block: Block) -> None:
    assert faults(block) == []


def test_no_fence_is_missed() -> None:
    for path in PAGES:
        fences = len(re.findall(r"^ *(?:```|~~~)", path.read_text(), re.MULTILINE))
        assert fences == 2 * len([block for block in BLOCKS if block.page == path.name]), path.name


@pytest.mark.parametrize("place", SERVED.values(), ids=SERVED.keys())
def test_the_test_that_runs_a_page_is_there_and_takes_its_only_block(place: str) -> None:
    path, _, name = place.partition("::")
    (page,) = [page for page, there in SERVED.items() if there == place]
    source = (ROOT / path).read_text()
    assert name in {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AsyncFunctionDef)}
    assert f'"{page}"' in source
    assert len([block for block in of_kind("python") if block.page == page]) == 1


@pytest.mark.parametrize(
    "kind, code",
    [
        ("", "anything"),
        ("yaml", "a: 1"),
        ("sh", "adiuva chat --loud"),
        ("sh", "adiuva sing"),
        ("sh", "adiuva plugin check"),
        ("sh", "adiuva admin plugins approve garden twice"),
        ("sh", "adiuva"),
        ("sh", "make sense"),
        ("sh", "frobnicate --all"),
        ("sh", "LLM_MODELL=x adiuva serve"),
        ("sh", "DEFAULT_TIER=gold adiuva serve"),
        ("sh", "export MAX_BLOB_BYTE=1"),
        ("sh", "curl $URL/api/v1/plugin"),
        ("sh", "curl -X DELETE $URL/api/v1/plugins"),
        ("sh", "pip install 'adiuva[everything]'"),
        ("sh", "cat x | adiuva sing"),
        ("sh", "X=$(adiuva sing)"),
        ("sh", "python -m adiuva.nothing"),
        ("ini", "PORTT=1"),
        ("ini", "PORT=high"),
        ("yaml", 'scrape_configs: [{static_configs: [{targets: ["127.0.0.1:1"]}]}]'),
        ("nginx", "location / {\n proxy_pass http://127.0.0.1:1;\n}"),
        ("python", "1"),
        ("{eval-rst}", ".. currentmodule:: adiuva.sdk\n.. autoclass:: Agentt"),
        ("{toctree}", "nowhere"),
    ],
)
def test_what_is_wrong_is_found(kind: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block("a page.md", 1, kind, code, "")
    monkeypatch.setitem(globals(), "BLOCKS", [block])
    assert faults(block) != []


def test_the_reference_has_all_that_the_sdk_and_the_kit_offer() -> None:
    code = "".join(block.code for block in of_kind("{eval-rst}"))
    assert set(re.findall(r"^\.\. auto\w+:: (\w+)", code, re.MULTILINE)) == {*sdk.__all__, *testing.__all__}


def test_every_page_is_in_the_navigation_once() -> None:
    listed = [page for block in of_kind("{toctree}") for page in _listed(block)]
    assert sorted(listed) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_every_promise_of_the_security_model_has_its_test() -> None:
    said = (DOCS / "security.md").read_text().partition("## What is not")[0]
    promises = re.findall(r"^- (.+)\n  `(.+)`$", said, re.MULTILINE)
    assert len(promises) == said.count("\n- ") > 20
    for promise, place in promises:
        path, _, name = place.partition("::")
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), promise


def test_every_setting_is_in_the_guide_to_self_hosting_or_in_the_readme() -> None:
    said = (ROOT / "README.md").read_text() + (DOCS / "self-hosting.md").read_text()
    assert {name for name in shell.SETTINGS if f"`{name}`" not in said} == set()

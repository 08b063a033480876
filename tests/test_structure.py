"""Rules of the house that no linter knows."""

import re
from pathlib import Path

from adiuva.app import create_app
from adiuva.chat.registry import AgentRegistry
from adiuva.settings import Settings
from adiuva.web.routes import ROUTES

ROOT = Path(__file__).parent.parent

# Every call of the API: method, path, who may call it, what it is counted by. A new route shows here.
TABLE = """
GET    /api/v1/agents                 private  user
DELETE /api/v1/auth/sessions/{id}     private  user
GET    /api/v1/auth/me                private  user
GET    /api/v1/auth/sessions          private  user
POST   /api/v1/auth/login             public   login
POST   /api/v1/auth/logout            public   -
POST   /api/v1/auth/password          private  user
POST   /api/v1/auth/refresh           public   refresh
POST   /api/v1/auth/register          public   register
POST   /api/v1/auth/ticket            private  user
GET    /api/v1/batches                private  user
POST   /api/v1/batches                private  user
DELETE /api/v1/batches/{id}           private  user
GET    /api/v1/batches/{id}           private  user
GET    /api/v1/batches/{id}/results   private  user
POST   /api/v1/chat                   private  user
GET    /api/v1/billing/tiers          public   -
GET    /api/v1/chat/stream            public   -
GET    /api/v1/health                 public   -
GET    /api/v1/health/ready           public   -
GET    /api/v1/models                 private  user
GET    /api/v1/plans/playbook         private  user
GET    /api/v1/plans/playbook/{plan_id} private  user
POST   /api/v1/plans/steps            private  user
POST   /mcp                           private  user
POST   /v1/chat/completions           private  user
GET    /v1/models                     private  user
GET    /v1/models/{model}             private  user
"""


def routes_of_the_app() -> list[tuple[str, ...]]:
    app = create_app(Settings(jwt_secret="x" * 32), registry=AgentRegistry())
    reachable = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    assert {route for route in reachable if route[0] != "OPTIONS"} == app[ROUTES].keys(), "a route without its guard"
    return sorted((*key, route.access, route.limit or "-") for key, route in app[ROUTES].items())


def test_the_route_table_is_this() -> None:
    assert routes_of_the_app() == sorted(tuple(line.split()) for line in TABLE.strip().splitlines())


def test_sql_stands_in_queries_only() -> None:
    allowed = {"adiuva/database.py", "adiuva/migrate.py"}  # the schema's own state, and the pool's ping
    call = re.compile(r"\.(fetch|fetchrow|fetchval|execute|executemany|cursor|copy_\w+)\(")
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "adiuva").rglob("*.py"))
        if path.name != "queries.py" and "testing" not in path.parts and call.search(path.read_text())
    ]
    assert set(found) <= allowed


def test_no_module_is_a_drawer_for_leftovers() -> None:
    names = {path.name for path in (ROOT / "adiuva").rglob("*.py")}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}

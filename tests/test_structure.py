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
GET    /api/v1/about                  public   -
GET    /api/v1/admin/audit            admin    user
GET    /api/v1/admin/plugins/pending  admin    user
POST   /api/v1/admin/plugins/{id}/reinstate admin    user
POST   /api/v1/admin/plugins/{id}/review admin    user
POST   /api/v1/admin/plugins/{id}/suspend admin    user
GET    /api/v1/admin/users            admin    user
DELETE /api/v1/admin/users/{id}/admin admin    user
PUT    /api/v1/admin/users/{id}/admin admin    user
PUT    /api/v1/admin/users/{id}/tier  admin    user
GET    /api/v1/agents                 private  user
POST   /api/v1/auth/login             public   login
POST   /api/v1/auth/logout            public   -
DELETE /api/v1/auth/me                private  user
GET    /api/v1/auth/me                private  user
POST   /api/v1/auth/password          private  user
POST   /api/v1/auth/refresh           public   refresh
POST   /api/v1/auth/register          public   register
GET    /api/v1/auth/sessions          private  user
DELETE /api/v1/auth/sessions/{id}     private  user
POST   /api/v1/auth/ticket            private  user
GET    /api/v1/backup                 private  user
PUT    /api/v1/backup                 private  user
GET    /api/v1/backup/history         private  user
DELETE /api/v1/backup/{id}            private  user
GET    /api/v1/backup/{id}            private  user
GET    /api/v1/batches                private  user
POST   /api/v1/batches                private  user
DELETE /api/v1/batches/{id}           private  user
GET    /api/v1/batches/{id}           private  user
GET    /api/v1/batches/{id}/results   private  user
POST   /api/v1/billing/checkout       private  user
POST   /api/v1/billing/connect        private  user
GET    /api/v1/billing/pages/{name}   public   -
DELETE /api/v1/billing/subscription   private  user
GET    /api/v1/billing/subscription   private  user
GET    /api/v1/billing/tiers          public   -
POST   /api/v1/billing/webhook        public   -
POST   /api/v1/chat                   private  user
GET    /api/v1/chat/stream            public   -
GET    /api/v1/health                 public   -
GET    /api/v1/health/ready           public   -
GET    /api/v1/models                 private  user
GET    /api/v1/openapi.json           public   -
GET    /api/v1/plans/playbook         private  user
GET    /api/v1/plans/playbook/{plan_id} private  user
POST   /api/v1/plans/steps            private  user
POST   /mcp                           private  user
POST   /v1/chat/completions           private  user
GET    /v1/models                     private  user
GET    /v1/models/{model}             private  user
GET    /api/v1/plugins                private  user
POST   /api/v1/plugins                private  user
GET    /api/v1/plugins/earnings       private  user
GET    /api/v1/plugins/installed      private  user
GET    /api/v1/plugins/mine           private  user
DELETE /api/v1/plugins/{id}           private  user
GET    /api/v1/plugins/{id}           private  user
DELETE /api/v1/plugins/{id}/install   private  user
POST   /api/v1/plugins/{id}/install   private  user
GET    /api/v1/plugins/{id}/package   private  user
PUT    /api/v1/plugins/{id}/package   private  user
PUT    /api/v1/plugins/{id}/rating    private  user
GET    /api/v1/plugins/{id}/versions  private  user
GET    /api/v1/status                 private  user
GET    /api/v1/storage/changes        private  user
GET    /api/v1/storage/records        private  user
POST   /api/v1/storage/records        private  user
POST   /api/v1/storage/records/batch  private  user
DELETE /api/v1/storage/records/{id}   private  user
GET    /api/v1/storage/records/{id}   private  user
PUT    /api/v1/storage/records/{id}   private  user
GET    /api/v1/storage/stream         public   -
GET    /api/v1/storage/usage          private  user
DELETE /api/v1/storage/vectors        private  user
POST   /api/v1/storage/vectors/search private  user
POST   /api/v1/storage/vectors/upsert private  user
GET    /                              public   -
GET    /docs                          public   -
GET    /metrics                       public   -
GET    /page/{name}                   public   -
"""


def routes_of_the_app() -> list[tuple[str, ...]]:
    app = create_app(Settings(jwt_secret="x" * 32), registry=AgentRegistry())
    reachable = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    assert {route for route in reachable if route[0] != "OPTIONS"} == app[ROUTES].keys(), "a route without its guard"
    return sorted((*key, route.access, route.limit or "-") for key, route in app[ROUTES].items())


def test_the_route_table_is_this() -> None:
    assert routes_of_the_app() == sorted(tuple(line.split()) for line in TABLE.strip().splitlines())


def test_sql_stands_in_queries_only() -> None:
    # The schema's own state, the pool's ping, and a call of Pinecone's that has such a name.
    allowed = {"adiuva/database.py", "adiuva/migrate.py", "adiuva/vectors/pinecone.py"}
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

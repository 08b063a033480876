"""What is read when somebody asks for metrics: the parts of the server keep plain numbers, and know no Prometheus."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from adiuva.auth.socket_watch import SocketWatch
from adiuva.database import Database
from adiuva.runtime import ActorSystem
from adiuva.storage.uploads.models import KINDS
from adiuva.storage.uploads.service import Uploads

_OUTCOMES: Final = ("handled", "failed", "refused", "cancelled", "expired")


@frozen(kw_only=True)
class Sources:
    """The parts of the server that have something to tell."""

    systems: Sequence[ActorSystem]
    database: Database
    uploads: Uploads
    sockets: SocketWatch
    redactions: Mapping[str, int]  # by rule
    refused_actions: Mapping[str, Counter[str]]  # by agent, and by tool


class Readings(Collector):
    """The numbers of ``sources`` as they are when they are collected."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering needs no reading."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from self._actors()
        yield from self._chat()
        yield from self._storage()
        yield from self._database()
        yield GaugeMetricFamily("adiuva_sockets_open", "WebSockets that are open.", self._sources.sockets.open)

    def _actors(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("adiuva_mailbox_depth", "Messages that wait.", labels=("actor",))
        running = GaugeMetricFamily("adiuva_mailbox_running", "Messages that are handled now.", labels=("actor",))
        ended = CounterMetricFamily(
            "adiuva_mailbox_messages", "Messages that have ended, by how.", labels=("actor", "outcome")
        )
        wait = SummaryMetricFamily(
            "adiuva_mailbox_wait_seconds", "How long messages waited before they were handled.", labels=("actor",)
        )
        ready = GaugeMetricFamily("adiuva_actor_ready", "1 where it takes messages, 0 where not.", labels=("actor",))
        starts = CounterMetricFamily("adiuva_actor_failed_starts", "Starts that failed.", labels=("actor",))
        for ref in (ref for system in self._sources.systems for ref in system.refs()):
            counters, name = ref.counters(), [ref.name]
            depth.add_metric(name, counters.queued)
            running.add_metric(name, counters.running)
            for outcome in _OUTCOMES:
                ended.add_metric([*name, outcome], getattr(counters, outcome))
            wait.add_metric(name, count_value=counters.begun, sum_value=counters.wait_seconds_total)
            ready.add_metric(name, counters.state == "running")
            starts.add_metric(name, counters.starts_failed)
        yield from (depth, running, ended, wait, ready, starts)

    def _chat(self) -> Iterator[Metric]:
        redactions = CounterMetricFamily(
            "adiuva_redactions", "What the sanitizer has taken out of answers.", labels=("rule",)
        )
        for rule, count in self._sources.redactions.items():
            redactions.add_metric([rule], count)
        refused = CounterMetricFamily(
            "adiuva_actions_refused", "Actions beyond the rights of their agents.", labels=("agent", "tool")
        )
        for agent, tools in self._sources.refused_actions.items():
            for tool, count in tools.items():
                refused.add_metric([agent, tool], count)
        yield from (redactions, refused)

    def _storage(self) -> Iterator[Metric]:
        uploads = self._sources.uploads
        moved = CounterMetricFamily("adiuva_blob_bytes", "Bytes of blobs from and to clients.", labels=("direction",))
        moved.add_metric(["in"], uploads.traffic.bytes_in)
        moved.add_metric(["out"], uploads.traffic.bytes_out)
        refused = CounterMetricFamily("adiuva_quota_refusals", "Uploads there was no room for.", labels=("kind",))
        for kind in KINDS:
            refused.add_metric([kind], uploads.traffic.over_quota[kind])
        yield from (moved, refused)
        yield GaugeMetricFamily("adiuva_uploads_running", "Uploads that are under way.", uploads.running)

    def _database(self) -> Iterator[Metric]:
        database, pool = self._sources.database, self._sources.database.pool
        size, idle = pool.get_size(), pool.get_idle_size() + len(database.at_hand)
        connections = GaugeMetricFamily("adiuva_database_connections", "Connections of the pool.", labels=("state",))
        connections.add_metric(["idle"], idle)
        connections.add_metric(["busy"], size - idle)
        yield connections
        yield GaugeMetricFamily("adiuva_database_connections_max", "As many as there may be.", pool.get_max_size())
        yield GaugeMetricFamily("adiuva_database_waiting", "Requests that wait for a connection.", database.acquiring)
        yield CounterMetricFamily(
            "adiuva_database_given_up", "Requests that waited too long for a connection.", database.given_up
        )

"""The deterministic stand-in for a language model, `offline/rules`."""

from adiuva.llm.offline.model import NAME, OfflineModel

__all__ = ["NAME", "OfflineModel"]

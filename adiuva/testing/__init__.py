"""What tests of agents and plugins stand on.

The names below are for authors; ``docs/testing.md`` shows them at work. Installed with pytest, this package is a plugin
of it (see `adiuva.testing.plugin`). Importing it loads nothing: each name comes with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adiuva.local_data import LocalData
    from adiuva.testing.harness import AgentHarness, MakeHarness, Run, ToolResult
    from adiuva.testing.hostile import ATTACKS, HostileModel, faults_under_attack
    from adiuva.testing.models import ScriptedModel, calling, turn
    from adiuva.testing.openai_double import OpenAIDouble

__all__ = [
    "ATTACKS",
    "AgentHarness",
    "HostileModel",
    "LocalData",
    "MakeHarness",
    "OpenAIDouble",
    "Run",
    "ScriptedModel",
    "ToolResult",
    "calling",
    "faults_under_attack",
    "turn",
]

_MODULES = {
    "adiuva.local_data": ("LocalData",),
    "adiuva.testing.harness": ("AgentHarness", "MakeHarness", "Run", "ToolResult"),
    "adiuva.testing.hostile": ("ATTACKS", "HostileModel", "faults_under_attack"),
    "adiuva.testing.models": ("ScriptedModel", "calling", "turn"),
    "adiuva.testing.openai_double": ("OpenAIDouble",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The public name, from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

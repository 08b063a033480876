"""The pytest plugin that comes with Adiuva: fixtures for the authors of agents and plugins.

pytest finds it through the entry-point group ``pytest11``, in every project where Adiuva is installed. So it imports
nothing but pytest until a fixture is asked for.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from adiuva.testing.harness import MakeHarness
    from adiuva.testing.models import ScriptedModel


@pytest.fixture
def scripted_model() -> "ScriptedModel":
    """A `ScriptedModel` with an empty script: lengthen it with ``add``; what it was asked is in ``calls``."""
    from adiuva.testing.models import ScriptedModel

    return ScriptedModel()


@pytest.fixture
def agent_harness(scripted_model: "ScriptedModel") -> "MakeHarness":
    """Makes an `AgentHarness`: give it your agent, then ``run = await harness.run("Hello")``.

    Its model is ``scripted_model`` unless another one is given. The rest of its arguments are those of
    `AgentHarness.of`.
    """
    from functools import partial

    from adiuva.testing.harness import AgentHarness

    return partial(AgentHarness.of, model=scripted_model)

"""Which model the settings and the environment describe, and where it is asked."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from adiuva.errors import LlmNotConfiguredError
from adiuva.llm import build_model, model_names
from adiuva.llm.direct_lane import DirectLane
from adiuva.llm.faults import ProviderFault
from adiuva.llm.gateway import Gateway
from adiuva.llm.litellm_lane import LitellmLane
from adiuva.llm.offline import OfflineModel
from adiuva.llm.protocol import Message, ModelCall
from adiuva.llm.providers import DEFAULT_MODELS, PROVIDERS, Endpoints
from adiuva.settings import Settings

CALL = ModelCall(model="", messages=(Message(role="user", content="Hello"),))


def test_a_bare_machine_gets_the_offline_stand_in() -> None:
    assert isinstance(build_model(Settings(), {}), OfflineModel)
    assert model_names(Settings(), {}) == ("offline/rules",)


async def test_production_without_a_model_says_what_to_set() -> None:
    settings = Settings(env="prod", jwt_secret="x" * 40)

    assert model_names(settings, {}) == ()
    with pytest.raises(LlmNotConfiguredError, match="set LLM_MODEL"):
        await build_model(settings, {}).run(CALL)


@pytest.mark.parametrize("variable, model", DEFAULT_MODELS.items())
@pytest.mark.parametrize("env", ["dev", "prod"])
def test_a_providers_key_alone_chooses_its_default_model(env: Any, variable: str, model: str) -> None:
    settings = Settings(env=env)

    assert model_names(settings, {variable: "key"}) == (model,)
    assert isinstance(build_model(settings, {variable: "key"}), Gateway)


def test_the_default_model_comes_first_and_each_once() -> None:
    settings = Settings(llm_model="openai/b", llm_models=("openai/a", "openai/b", "anthropic/c"))

    assert model_names(settings, {}) == ("openai/b", "openai/a", "anthropic/c")
    assert model_names(Settings(llm_models=("openai/a", "openai/b")), {}) == ("openai/a", "openai/b")


@pytest.mark.parametrize(
    "choice, model, lane",
    [
        ("auto", "openai/gpt-4.1", DirectLane),
        ("auto", "gpt-4.1", DirectLane),
        ("auto", "groq/openai/gpt-oss-120b", DirectLane),
        ("auto", "ollama/llama3.3", DirectLane),
        ("auto", "anthropic/claude-haiku-4-5", LitellmLane),
        ("auto", "claude-haiku-4-5", LitellmLane),
        ("litellm", "openai/gpt-4.1", LitellmLane),
        ("direct", "anthropic/claude-haiku-4-5", DirectLane),
    ],
)
def test_the_lane_is_the_shortest_unless_one_is_chosen(choice: Any, model: str, lane: type) -> None:
    gateway = build_model(Settings(llm_model=model, llm_lane=choice), {})

    assert isinstance(gateway, Gateway)
    assert isinstance(gateway.lane_of(model), lane)


@pytest.mark.parametrize(
    "model, environ, api_base, url, name, key",
    [
        (
            "gpt-4.1",
            {"OPENAI_API_KEY": "k"},
            "",
            "https://api.openai.com/v1/chat/completions",
            "gpt-4.1",
            "k",
        ),
        (
            "openai/x",
            {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://proxy/v1/"},
            "",
            "https://proxy/v1/chat/completions",
            "x",
            "k",
        ),
        ("openai/org/x", {}, "http://box:8000/v1", "http://box:8000/v1/chat/completions", "org/x", ""),
        (
            "groq/openai/gpt-oss-120b",
            {"GROQ_API_KEY": "k"},
            "",
            "https://api.groq.com/openai/v1/chat/completions",
            "openai/gpt-oss-120b",
            "k",
        ),
        ("ollama/llama3.3", {}, "", "http://127.0.0.1:11434/v1/chat/completions", "llama3.3", ""),
        ("ollama_chat/x", {}, "http://box:11434", "http://box:11434/v1/chat/completions", "x", ""),
        ("ollama/x", {}, "http://box:11434/v1", "http://box:11434/v1/chat/completions", "x", ""),
        (
            "together_ai/x",
            {"TOGETHER_API_KEY": "k"},
            "",
            "https://api.together.xyz/v1/chat/completions",
            "x",
            "k",
        ),
    ],
)
def test_an_endpoint_is_found(
    model: str, environ: dict[str, str], api_base: str, url: str, name: str, key: str
) -> None:
    endpoint = Endpoints(environ=environ, model=model, api_base=api_base).find(model)

    assert (endpoint.url, endpoint.model, endpoint.key) == (url, name, key)
    assert "key" not in repr(endpoint)


@pytest.mark.parametrize(
    "model, message",
    [
        ("openai/x", "There is no valid key for the model openai/x: set OPENAI_API_KEY."),
        ("hosted_vllm/x", "set HOSTED_VLLM_API_BASE or LLM_API_BASE."),
        ("nowhere/x", "No provider is known for the model nowhere/x."),
    ],
)
def test_an_endpoint_that_is_not_found_says_what_to_set(model: str, message: str) -> None:
    with pytest.raises(ProviderFault) as caught:
        Endpoints(environ={}, model="other/y").find(model)

    error = caught.value.error(model)
    assert isinstance(error, LlmNotConfiguredError)
    assert error.message.endswith(message)


def test_the_base_url_is_for_the_main_models_provider_alone() -> None:
    endpoints = Endpoints(environ={"GROQ_API_KEY": "k"}, model="openai/x", api_base="http://box/v1")

    assert endpoints.find("openai/y").url.startswith("http://box/")
    assert endpoints.find("groq/y").url.startswith("https://api.groq.com/")
    assert endpoints.litellm_options("openai/y") == {"api_base": "http://box/v1", "api_key": "none"}
    assert endpoints.litellm_options("anthropic/y") == {}


def test_every_provider_can_be_reached() -> None:
    for name, provider in PROVIDERS.items():
        assert provider.base_url or provider.base_variables, name
        assert provider.key_variables, name
        assert provider.base_url.startswith(("https://", "http://127.0.0.1:")) or not provider.base_url, name


async def test_a_missing_key_is_told_without_a_call() -> None:
    gateway = build_model(Settings(llm_model="openai/x", llm_lane="direct"), {})

    async with asyncio.timeout(5):
        with pytest.raises(LlmNotConfiguredError, match="set OPENAI_API_KEY"):
            await gateway.run(ModelCall(model="openai/x", messages=CALL.messages))
    await gateway.close()


def test_the_readme_tells_the_model_of_each_key() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert dict(re.findall(r"^\| `(\w+_API_KEY)` \| `(.+)` \|$", readme, re.MULTILINE)) == dict(DEFAULT_MODELS)

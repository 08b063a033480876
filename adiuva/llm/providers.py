"""The providers that speak OpenAI's wire themselves, and where each is found: one table for every lane."""

from collections.abc import Mapping
from functools import cached_property

from attrs import define, field, frozen

from adiuva.llm.faults import ProviderFault


@frozen(kw_only=True)
class Provider:
    """``key_variables`` and ``base_variables`` are tried in turn, and are named as LiteLLM names them."""

    base_url: str = ""  # "" where there is no common one
    key_variables: tuple[str, ...]
    base_variables: tuple[str, ...] = ()
    key_needed: bool = True
    counts_on_request: bool = True  # takes stream_options; others count in a stream unasked
    path: str = ""  # between a base URL given for LiteLLM and the endpoints of OpenAI's wire


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        base_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    "cerebras": Provider(base_url="https://api.cerebras.ai/v1", key_variables=("CEREBRAS_API_KEY",)),
    "deepinfra": Provider(base_url="https://api.deepinfra.com/v1/openai", key_variables=("DEEPINFRA_API_KEY",)),
    "deepseek": Provider(base_url="https://api.deepseek.com/v1", key_variables=("DEEPSEEK_API_KEY",)),
    "groq": Provider(base_url="https://api.groq.com/openai/v1", key_variables=("GROQ_API_KEY",)),
    "mistral": Provider(
        base_url="https://api.mistral.ai/v1", key_variables=("MISTRAL_API_KEY",), counts_on_request=False
    ),
    "nvidia_nim": Provider(base_url="https://integrate.api.nvidia.com/v1", key_variables=("NVIDIA_NIM_API_KEY",)),
    "openrouter": Provider(base_url="https://openrouter.ai/api/v1", key_variables=("OPENROUTER_API_KEY",)),
    "together_ai": Provider(
        base_url="https://api.together.xyz/v1", key_variables=("TOGETHERAI_API_KEY", "TOGETHER_API_KEY")
    ),
    "xai": Provider(base_url="https://api.x.ai/v1", key_variables=("XAI_API_KEY",)),
    # On the operator's own machines.
    "hosted_vllm": Provider(
        key_variables=("HOSTED_VLLM_API_KEY",), base_variables=("HOSTED_VLLM_API_BASE",), key_needed=False
    ),
    "llamafile": Provider(
        base_url="http://127.0.0.1:8080/v1",
        key_variables=("LLAMAFILE_API_KEY",),
        base_variables=("LLAMAFILE_API_BASE",),
        key_needed=False,
    ),
    "lm_studio": Provider(
        base_url="http://127.0.0.1:1234/v1",
        key_variables=("LM_STUDIO_API_KEY",),
        base_variables=("LM_STUDIO_API_BASE",),
        key_needed=False,
    ),
    "ollama": Provider(
        base_url="http://127.0.0.1:11434",
        key_variables=("OLLAMA_API_KEY",),
        base_variables=("OLLAMA_API_BASE",),
        key_needed=False,
        path="/v1",
    ),
    "ollama_chat": Provider(
        base_url="http://127.0.0.1:11434",
        key_variables=("OLLAMA_API_KEY",),
        base_variables=("OLLAMA_API_BASE",),
        key_needed=False,
        path="/v1",
    ),
}

DEFAULT_MODELS: Mapping[str, str] = {
    "OPENAI_API_KEY": "openai/gpt-4.1-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-flash-latest",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "GROQ_API_KEY": "groq/openai/gpt-oss-120b",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-flash",
    "OPENROUTER_API_KEY": "openrouter/openai/gpt-4.1-mini",
}
"""The model used where ``LLM_MODEL`` is unset: that of the first of these variables that is set."""

_BARE_OPENAI = ("gpt-", "chatgpt-", "o1", "o3", "o4")


def split_model(model: str) -> tuple[str, str]:
    """The provider and the provider's own name of a model: ``openai/gpt-4o`` and ``gpt-4o`` are the same.

    The provider is "" where the name does not say it, and LiteLLM has to guess.
    """
    provider, slash, name = model.partition("/")
    if slash:
        return provider, name
    return ("openai" if model.startswith(_BARE_OPENAI) else ""), model


@frozen(kw_only=True)
class Endpoint:
    """Where a model is asked. ``key`` is "" where none is needed."""

    url: str
    model: str
    provider: str
    key: str = field(repr=False)

    @cached_property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        own = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"Content-Type": "application/json", **own}


@define(kw_only=True)
class Endpoints:
    """Finds the endpoint of a model.

    ``api_base`` (``LLM_API_BASE``) holds for the provider of ``model`` (``LLM_MODEL``) only.
    """

    environ: Mapping[str, str] = field(repr=False)
    model: str = ""
    api_base: str = ""
    _found: dict[str, Endpoint] = field(factory=dict, init=False, repr=False)

    def find(self, model: str) -> Endpoint:
        """The endpoint for OpenAI's wire, as the environment had it when it was first asked for.

        Raises:
            ProviderFault: the table does not know the provider, or there is no key or address for it.
        """
        endpoint = self._found.get(model)
        if endpoint is None:
            endpoint = self._found[model] = self._find(model)
        return endpoint

    def _find(self, model: str) -> Endpoint:
        prefix, name = split_model(model)
        provider = PROVIDERS.get(prefix)
        if provider is None:
            raise ProviderFault("unknown")
        own = self._own_base(prefix)
        base = own or self._first(provider.base_variables) or provider.base_url
        key = self._first(provider.key_variables)
        if not base:
            raise ProviderFault("key", hint=f"set {provider.base_variables[0]} or LLM_API_BASE")
        if not key and provider.key_needed and not own:
            raise ProviderFault("key", hint=self.hint(model))
        base = base.rstrip("/")
        if provider.path and not base.endswith(provider.path):
            base += provider.path
        return Endpoint(url=f"{base}/chat/completions", model=name, provider=prefix, key=key)

    def speaks_openai(self, model: str) -> bool:
        """Whether a model's provider is in the table."""
        return split_model(model)[0] in PROVIDERS

    def litellm_options(self, model: str) -> dict[str, str]:
        """What LiteLLM has to be told, and does not find in the environment by itself."""
        prefix, _ = split_model(model)
        base = self._own_base(prefix)
        if not base:
            return {}
        provider = PROVIDERS.get(prefix)
        if provider is None:
            return {"api_base": base}
        # The OpenAI client insists on a key; a server of the operator's own may need none.
        return {
            "api_base": base.rstrip("/").removesuffix(provider.path) if provider.path else base,
            "api_key": self._first(provider.key_variables) or "none",
        }

    def hint(self, model: str) -> str:
        """What to set so that a model can be asked."""
        provider = PROVIDERS.get(split_model(model)[0])
        return f"set {provider.key_variables[0]}" if provider else "set the variable of its provider"

    def _own_base(self, prefix: str) -> str:
        return self.api_base if prefix == split_model(self.model)[0] else ""

    def _first(self, variables: tuple[str, ...]) -> str:
        return next((self.environ[name] for name in variables if self.environ.get(name)), "")

"""The agents as models of OpenAI's chat completions."""

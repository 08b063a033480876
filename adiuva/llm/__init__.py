"""The gateway to language models."""

from adiuva.llm.build import ServedModel, build_model, model_names

__all__ = ["ServedModel", "build_model", "model_names"]

"""The errors of tools and of their definition."""


class ToolError(Exception):
    """An expected fault: its message goes to the model, which may try otherwise or tell the user.

    Say what is wrong and what to do instead. Any other exception of a tool is a bug: the model learns only that the
    tool failed, and the operator finds the exception's class in the log.
    """


class ToolArgumentsError(ToolError):
    """The model called a tool with arguments that its signature does not allow."""


class DefinitionError(TypeError):
    """An agent, tool or manifest is not well-formed; raised where it is defined, so that its author sees it at once."""

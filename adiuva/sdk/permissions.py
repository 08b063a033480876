"""What a plugin may read and write."""

from enum import StrEnum


class Permission(StrEnum):
    """A right that a plugin's manifest asks for, and that the user grants by installing it.

    Its text (``"write:tasks"``) will do wherever the SDK takes one.
    """

    READ_TASKS = "read:tasks"
    WRITE_TASKS = "write:tasks"
    READ_PROJECTS = "read:projects"
    WRITE_PROJECTS = "write:projects"
    READ_NOTES = "read:notes"
    WRITE_NOTES = "write:notes"
    READ_CHECKPOINTS = "read:checkpoints"
    WRITE_CHECKPOINTS = "write:checkpoints"
    READ_CALENDAR = "read:calendar"
    WRITE_CALENDAR = "write:calendar"

    @property
    def writes(self) -> bool:
        """Whether this is a right to change things."""
        return self.value.startswith("write:")

    @classmethod
    def of(cls, text: str) -> "Permission":
        """The permission of that name.

        Raises:
            ValueError: there is none; the message lists those that there are.
        """
        try:
            return cls(text)
        except ValueError:
            raise ValueError(f"{text!r} is no permission; there are {', '.join(cls)}") from None

"""Why an archive is not taken."""

from adiuva.errors import ValidationFailedError


class RefusedError(ValidationFailedError):
    """The package is not one that this server keeps."""

    def __init__(self, fault: str) -> None:
        """``fault`` completes a sentence that begins with "The package"."""
        super().__init__([("package", fault)])

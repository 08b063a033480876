"""What can go wrong at a client."""

from adiuva.errors import AdiuvaError


class ServerError(AdiuvaError):
    """The server refused a request."""

    def __init__(self, code: str, message: str, *, retry_after: float | None = None) -> None:
        """``code`` is the server's own stable word for what is wrong."""
        super().__init__(message, retry_after=retry_after)
        self.server_code = code


class CannotConnectError(AdiuvaError):
    """The server cannot be reached."""

    code = "cannot_connect"


class DecryptionError(AdiuvaError):
    """These bytes were not sealed for this place with a key of this user, or they were changed since."""

    code = "decryption_failed"


class UnknownKeyError(DecryptionError):
    """This was sealed with a key that is not on the key ring."""

    code = "unknown_key"


class RolledBackError(DecryptionError):
    """The server gave an older key ring than the one that was there before."""

    code = "rolled_back"


class KeyAddedError(AdiuvaError):
    """Another device has added a key meanwhile: seal the records anew before the old keys are forgotten."""

    code = "key_added"


class WrongPassphraseError(DecryptionError):
    """The passphrase is not the one that the key ring is locked with."""

    code = "wrong_passphrase"


class UnsafeKeyHeaderError(DecryptionError):
    """The server's key header asks for a derivation that is too weak, or takes too much of this machine."""

    code = "unsafe_key_header"


class PassphraseIsPasswordError(AdiuvaError):
    """The passphrase must not be the account's password: the server sees that one at every login."""

    code = "passphrase_is_password"

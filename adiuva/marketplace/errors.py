"""What can be wrong with a call of the marketplace."""

from adiuva.errors import ConflictError, ForbiddenError


class PluginIdTakenError(ConflictError):
    """There is a plugin with this id already, and it is another author's."""

    code = "plugin_id_taken"


class VersionNotAboveError(ConflictError):
    """The version has to be above the last one that was submitted."""

    code = "version_not_above"


class TooManyPendingError(ConflictError):
    """Too many of your plugins wait for a review; withdraw some, or wait."""

    code = "too_many_pending"


class NotPendingError(ConflictError):
    """Nothing of this plugin waits for a review."""

    code = "not_pending"


class ReviewOutdatedError(ConflictError):
    """What waits for a review is no longer what was looked at; look again."""

    code = "review_outdated"


class NameTakenError(ConflictError):
    """An approved plugin of another author has a name or an id that users would confuse with this one's."""

    code = "name_taken"


class WrongStatusError(ConflictError):
    """The plugin's status does not allow this."""

    code = "wrong_status"


class PackageFixedError(ConflictError):
    """The package of a version that was reviewed stays as it is; submit a new version."""

    code = "package_fixed"


class RatingNeedsInstallError(ConflictError):
    """Only who has the plugin installed can rate it."""

    code = "not_installed"


class NotInstalledError(ForbiddenError):
    """Only who has the plugin installed can have its package."""

    code = "not_installed"

"""What detection refuses, named for the fact. The docstring is the default message."""


class DetectionError(Exception):
    """The request cannot be carried out."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class PolicyAlreadyActive(DetectionError):
    """This policy version is active already."""


class PolicyIncomplete(DetectionError):
    """The policy version lacks thresholds."""

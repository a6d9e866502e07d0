"""What can go wrong while content is decoded or judged. The docstring is the default message."""


class InferenceError(Exception):
    """The content could not be processed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class Undecodable(InferenceError):
    """The file could not be read as the media it claims to be."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is stable, for programs; `message` is for a person, without paths or traces."""
        self.code = code
        super().__init__(message)


class DecoderLost(InferenceError):
    """The sandboxed decoder died while it read the file."""


class ModelUnusable(InferenceError):
    """The model folder is incomplete, altered, or not of a kind that may be loaded."""


class SourceUnavailable(ModelUnusable):
    """The place a model comes from cannot be reached, or does not have it."""

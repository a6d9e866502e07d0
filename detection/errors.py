"""What detection refuses, named for the fact. A leaf's docstring is its default message."""

from __future__ import annotations


class DetectionError(Exception):
    """The request cannot be carried out.

    `status` is the HTTP answer, `code` its machine-readable name, `field` what was wrong.
    """

    status = 422
    code = "refused"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        self.detail = detail or (type(self).__doc__ or "").partition("\n")[0]
        self.field = field
        super().__init__(self.detail)


class PolicyAlreadyActive(DetectionError):
    """This policy version is active already."""

    status = 409
    code = "policy_already_active"


class PolicyIncomplete(DetectionError):
    """The policy version lacks thresholds."""

    code = "policy_incomplete"


class EmptyContent(DetectionError):
    """There is nothing to judge: the content is empty."""

    code = "empty_content"


class ContentTooLarge(DetectionError):
    """The content is larger than this platform accepts."""

    status = 413
    code = "too_large"


class UnsupportedContent(DetectionError):
    """This is not a kind of content this platform can judge."""

    status = 415
    code = "unsupported_content"


class TypesDisagree(DetectionError):
    """The declared type is not what the bytes are."""

    status = 415
    code = "types_disagree"


class URLNotAllowed(DetectionError):
    """This address may not be fetched."""

    code = "url_not_allowed"


class IdempotencyKeyReused(DetectionError):
    """This Idempotency-Key was used before, for another request."""

    status = 409
    code = "idempotency_key_reused"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, field="Idempotency-Key")


class StorageUnavailable(DetectionError):
    """The content cannot be stored at the moment. Nothing was accepted; try again."""

    status = 503
    code = "storage_unavailable"


class LeaseLost(DetectionError):
    """Another worker has this job by now; its work is discarded."""

    status = 409
    code = "lease_lost"


class FetchError(DetectionError):
    """The content behind a URL could not be had. Code and reason become the job's failure."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FetchRefused(FetchError):
    """The platform will not fetch this: trying again changes nothing."""


class FetchFailed(FetchError):
    """The other side did not deliver: trying again may help."""


class RolloutMoved(DetectionError):
    """Somebody else changed the models in the meantime. Look at them again before you go on."""

    status = 409
    code = "rollout_moved"


class InvalidMove(DetectionError):
    """A version in this state cannot be moved like that."""

    status = 409
    code = "invalid_move"


class NothingToRollBackTo(DetectionError):
    """No version was active before this one."""

    status = 409
    code = "nothing_to_roll_back_to"


class ModelRefused(DetectionError):
    """This model cannot be registered."""

    code = "model_refused"

"""Rows for tests, made the way the platform makes them, and tiny real media to go with them.

Every media factory stores real bytes in the default storage, so that decoding and serving work.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
from decimal import Decimal
from typing import Any

import av
import factory
import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from factory.django import DjangoModelFactory
from PIL import Image

from detection.models import (
    AnalysisJob,
    AnalysisResult,
    ContentType,
    DetectorScore,
    Media,
    ModelVersion,
    Policy,
    RiskLevel,
    ScoreKind,
    Submission,
    Threshold,
)
from detection.policies import SCORED
from detection.signals import Completed
from kilinda.partners import keys
from kilinda.partners.models import APIKey, Member, Organisation, Role, User
from review.models import ReviewItem

PASSWORD = "correct horse battery staple"

# --- Bytes ---------------------------------------------------------------------------------------


def sound_bytes(*, seconds: float = 1.0, hertz: float = 220.0, rate: int = 16_000) -> bytes:
    """A WAV file: mono 16-bit, a tone that swells and fades twice a second."""
    samples = (
        int(
            12_000
            * math.sin(2 * math.pi * hertz * i / rate)
            * abs(math.sin(2 * math.pi * i / rate))
        )
        for i in range(int(seconds * rate))
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def pixels(*, width: int = 64, height: int = 48, shift: int = 0) -> np.ndarray:
    """A colour gradient, uint8 RGB of shape (height, width, 3); `shift` moves it, for video."""
    y, x = np.mgrid[0:height, 0:width]
    channels = ((x + shift) * 255 // width, y * 255 // height, (x + y + shift) * 127 // width)
    return np.stack([channel % 256 for channel in channels], axis=-1).astype(np.uint8)


def picture_bytes(
    *, width: int = 64, height: int = 48, shift: int = 0, format: str = "PNG"
) -> bytes:
    """A picture file of a gradient; another `shift` gives another picture."""
    file = io.BytesIO()
    Image.fromarray(pixels(width=width, height=height, shift=shift)).save(file, format)
    return file.getvalue()


def video_bytes(*, seconds: float = 2.0, width: int = 96, height: int = 64, fps: int = 8) -> bytes:
    """An MP4 file (MPEG-4 part 2, which every libav has) of a moving gradient, without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = fps
        for number in range(int(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(
                pixels(width=width, height=height, shift=3 * number), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


# --- Partners and people -----------------------------------------------------------------------


class OrganisationFactory(DjangoModelFactory):
    class Meta:
        model = Organisation

    name = factory.Sequence(lambda n: f"Newsroom {n}")
    slug = factory.Sequence(lambda n: f"newsroom-{n}")


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.org")

    @factory.post_generation
    def password(user, create: bool, extracted: str | None, **_: Any) -> None:
        user.set_password(extracted or PASSWORD)
        if create:
            user.save(update_fields=["password"])


class MemberFactory(DjangoModelFactory):
    """A member; `MemberFactory(role=Role.PARTNER)` and so on. Its person is `member.user`."""

    class Meta:
        model = Member

    user = factory.SubFactory(UserFactory)
    organisation = factory.SubFactory(OrganisationFactory)
    role = Role.REVIEWER


def reviewer(
    *, organisation: Organisation | None = None, role: str = Role.REVIEWER, **user: Any
) -> User:
    """A person with a reviewing role; without an organisation, one of the operator's."""
    place = organisation or operator()
    return MemberFactory(user=UserFactory(**user), organisation=place, role=role).user


def operator() -> Organisation:
    """The organisation whose reviewers see everything."""
    found = Organisation.objects.filter(is_operator=True).first()
    return found or OrganisationFactory(name="Kilinda", slug="kilinda", is_operator=True)


def api_key(*, organisation: Organisation | None = None, **options: Any) -> tuple[APIKey, str]:
    """An API key's row and the key itself."""
    return keys.issue(organisation=organisation or OrganisationFactory(), name="test", **options)


# --- Content -------------------------------------------------------------------------------------


def media(content: bytes, mime: str, modality: str) -> Media:
    """Store bytes under their hash, once, and return their row."""
    row, _ = Media.objects.get_or_create(
        sha256=hashlib.sha256(content).hexdigest(),
        defaults={"size_bytes": len(content), "mime": mime, "modality": modality},
    )
    if not default_storage.exists(row.storage_name):
        default_storage.save(row.storage_name, ContentFile(content))
    return row


class SubmissionFactory(DjangoModelFactory):
    """A text; the traits `audio`, `image`, `video` and `url` make the other kinds."""

    class Meta:
        model = Submission

    class Params:
        audio = factory.Trait(
            content_type=ContentType.AUDIO,
            text="",
            media=factory.LazyFunction(lambda: media(sound_bytes(), "audio/wav", "audio")),
        )
        image = factory.Trait(
            content_type=ContentType.IMAGE,
            text="",
            media=factory.LazyFunction(lambda: media(picture_bytes(), "image/png", "image")),
        )
        video = factory.Trait(
            content_type=ContentType.VIDEO,
            text="",
            media=factory.LazyFunction(lambda: media(video_bytes(), "video/mp4", "video")),
        )
        web = factory.Trait(
            content_type=ContentType.URL, text="", url="https://news.example.org/article"
        )

    organisation = factory.SubFactory(OrganisationFactory)
    content_type = ContentType.TEXT
    text = factory.Sequence(lambda n: f"You people are vermin and should leave, message {n}.")
    language = "en"


_LANES = {
    ContentType.TEXT: AnalysisJob.Lane.SCREEN,
    ContentType.URL: AnalysisJob.Lane.FETCH,
}


class JobFactory(DjangoModelFactory):
    """A queued job; `JobFactory(submission__image=True)` for another kind of content."""

    class Meta:
        model = AnalysisJob

    submission = factory.SubFactory(SubmissionFactory)
    lane = factory.LazyAttribute(
        lambda job: _LANES.get(job.submission.content_type, AnalysisJob.Lane.MEDIA)
    )


def active_policy() -> Policy:
    """The policy the migrations made; made again where a transactional test emptied its table."""
    found = Policy.objects.filter(state=Policy.State.ACTIVE).first()
    if found:
        return found
    policy = Policy.objects.create(version=1, state=Policy.State.ACTIVE, note="For tests.")
    Threshold.objects.bulk_create(
        Threshold(
            policy=policy,
            content_type=content_type,
            score=kind,
            medium_from=50,
            high_from=80,
            critical_from=95,
        )
        for content_type, kinds in SCORED.items()
        for kind in kinds
    )
    return policy


class ResultFactory(DjangoModelFactory):
    """A finished job's result, high risk, with one detector's score.

    `percent=None` makes one that no detector could judge.
    """

    class Meta:
        model = AnalysisResult
        exclude = ("percent",)
        skip_postgeneration_save = True

    percent = Decimal("91.50")
    job = factory.SubFactory(JobFactory, state=AnalysisJob.State.DONE, finished_at=Now())
    content_type = factory.SelfAttribute("job.submission.content_type")
    overall_confidence = factory.SelfAttribute("percent")
    risk_level = RiskLevel.HIGH
    text_score = factory.LazyAttribute(lambda result: _percent_for(result, ContentType.TEXT))
    audio_score = factory.LazyAttribute(lambda result: _percent_for(result, ContentType.AUDIO))
    visual_score = factory.LazyAttribute(
        lambda result: _percent_for(result, ContentType.IMAGE, ContentType.VIDEO)
    )
    policy = factory.LazyFunction(active_policy)

    @factory.post_generation
    def scores(result, create: bool, extracted: Any, **_: Any) -> None:
        if create and extracted is None:
            DetectorScoreFactory(result=result)


def _percent_for(result: Any, *kinds: str) -> Decimal | None:
    return result.percent if result.job.submission.content_type in kinds else None


_DETECTORS = {
    ContentType.TEXT: (ScoreKind.TEXT, "abusive-text", "abuse"),
    ContentType.AUDIO: (ScoreKind.AUDIO, "synthetic-speech", "synthetic_speech"),
    ContentType.IMAGE: (ScoreKind.VISUAL, "synthetic-image", "synthetic_image"),
    ContentType.VIDEO: (ScoreKind.VISUAL, "synthetic-image", "synthetic_image"),
}


class DetectorScoreFactory(DjangoModelFactory):
    """A detector's score of a result, or with `probability=None` its abstention."""

    class Meta:
        model = DetectorScore

    result = factory.SubFactory(ResultFactory, scores=[])
    kind = factory.LazyAttribute(lambda score: _DETECTORS[score.result.content_type][0])
    detector = factory.LazyAttribute(lambda score: _DETECTORS[score.result.content_type][1])
    label = factory.LazyAttribute(lambda score: _DETECTORS[score.result.content_type][2])
    version = "1.0.0"
    probability = factory.LazyAttribute(
        lambda score: (
            None
            if score.result.overall_confidence is None
            else float(score.result.overall_confidence) / 100
        )
    )
    abstention_code = factory.LazyAttribute(
        lambda score: "too_short" if score.probability is None else ""
    )
    abstention_reason = factory.LazyAttribute(
        lambda score: "Shorter than the limit of 3 seconds." if score.probability is None else ""
    )


class ModelVersionFactory(DjangoModelFactory):
    """The row of a model's version; its files lie nowhere."""

    class Meta:
        model = ModelVersion

    name = "abusive-text"
    version = factory.Sequence(lambda n: f"1.{n}.0")
    slot = factory.SelfAttribute("name")
    task = "abuse"
    modality = "text"
    detector = "text"
    threshold = 0.5
    source = factory.LazyAttribute(lambda model: f"/models/{model.name}")
    digest = factory.LazyAttribute(
        lambda model: hashlib.sha256(f"{model.name}@{model.version}".encode()).hexdigest()
    )


def _result_of(kind: str) -> factory.Trait:
    return factory.Trait(
        result=factory.SubFactory(ResultFactory, **{f"job__submission__{kind}": True})
    )


class ItemFactory(DjangoModelFactory):
    """An open review item of a text; the traits `audio`, `image` and `video` make the others."""

    class Meta:
        model = ReviewItem

    class Params:
        audio = _result_of("audio")
        image = _result_of("image")
        video = _result_of("video")

    result = factory.SubFactory(ResultFactory)
    job = factory.SelfAttribute("result.job")
    organisation = factory.SelfAttribute("result.job.submission.organisation")
    reason = ReviewItem.Reason.RISK
    severity = factory.LazyAttribute(lambda item: float(item.result.overall_confidence or 0))


def completed(result: AnalysisResult) -> Completed:
    """What detection tells review and scans about a stored result."""
    submission = result.job.submission
    confidence = result.overall_confidence
    return Completed(
        result_id=result.pk,
        job_id=result.job_id,
        submission_id=submission.pk,
        organisation_id=submission.organisation_id,
        source=submission.source,
        priority=result.job.priority,
        risk_level=RiskLevel(result.risk_level),
        overall_confidence=None if confidence is None else float(confidence),
        is_unmeasured=any(
            each["grade"] in {"unmeasured", "unproven"} for each in result.reliability.values()
        ),
        policy=result.policy,
    )

"""Policy version 1, active, so that the platform can judge from its first start."""

from decimal import Decimal

from django.db import migrations
from django.db.models.functions import Now

THRESHOLDS = [
    # content, score, medium, high, critical: percent
    ("text", "text", 50, 80, 95),
    ("audio", "audio", 50, 80, 95),
    ("image", "visual", 60, 95, 99),
    ("video", "visual", 60, 95, 99),
    ("video", "audio", 50, 80, 95),
]


def create(apps, schema_editor):
    policy = apps.get_model("detection", "Policy").objects.create(
        version=1,
        state="active",
        note="The policy the platform is delivered with.",
        review_from="medium",
        review_when_not_judged=True,
        audit_rate_percent=Decimal("2.00"),
        activated_at=Now(),
    )
    threshold = apps.get_model("detection", "Threshold")
    threshold.objects.bulk_create(
        threshold(
            policy=policy,
            content_type=content_type,
            score=score,
            medium_from=medium,
            high_from=high,
            critical_from=critical,
        )
        for content_type, score, medium, high, critical in THRESHOLDS
    )


class Migration(migrations.Migration):
    dependencies = [("detection", "0001_initial")]

    operations = [migrations.RunPython(create, migrations.RunPython.noop)]

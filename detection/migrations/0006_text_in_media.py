"""Text found in media is judged too: every policy gets thresholds for it, those it has for texts."""

from django.db import migrations

MEDIA = ("audio", "image", "video")


def add(apps, schema_editor):
    threshold = apps.get_model("detection", "Threshold")
    for of_texts in threshold.objects.filter(content_type="text", score="text"):
        for content_type in MEDIA:
            threshold.objects.get_or_create(
                policy_id=of_texts.policy_id,
                content_type=content_type,
                score="text",
                defaults={
                    "medium_from": of_texts.medium_from,
                    "high_from": of_texts.high_from,
                    "critical_from": of_texts.critical_from,
                },
            )


class Migration(migrations.Migration):
    dependencies = [("detection", "0005_score_evidence")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]

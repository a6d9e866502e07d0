"""The final verdict, and whether one is awaited, beside the scores: what partners read."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("detection", "0002_first_policy")]

    operations = [
        migrations.AddField(
            model_name="analysisresult",
            name="review",
            field=models.CharField(
                choices=[
                    ("none", "No person was asked"),
                    ("pending", "A person will look at it"),
                    ("done", "The verdict is final"),
                ],
                db_default="none",
                default="none",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="analysisresult",
            name="verdict",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The final verdict; empty until there is one.",
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="analysisresult",
            name="verdict_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="analysisresult",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("verdict", ""), ("verdict_at__isnull", True)),
                    models.Q(
                        models.Q(("verdict", ""), _negated=True), ("verdict_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="result_verdict_is_dated",
            ),
        ),
    ]

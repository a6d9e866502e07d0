"""What fetching found out about a URL, apart from the submitter's own metadata."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("detection", "0003_verdict")]

    operations = [
        migrations.AddField(
            model_name="submission",
            name="fetched",
            field=models.JSONField(
                blank=True,
                default=dict,
                editable=False,
                help_text="What came from a URL: final address, redirects, title.",
            ),
        ),
    ]

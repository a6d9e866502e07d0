"""Scores say how reliable they were measured to be, and policy may ask for a person."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('detection', '0006_text_in_media'),
    ]

    operations = [
        migrations.AddField(
            model_name='analysisresult',
            name='reliability',
            field=models.JSONField(db_default={}, default=dict, help_text='How reliable each score was measured to be: grade, groups and figures.'),
        ),
        migrations.AddField(
            model_name='detectorscore',
            name='reliability',
            field=models.JSONField(db_default={}, default=dict, help_text='How reliable the score was measured to be; empty when not judged.'),
        ),
        migrations.AddField(
            model_name='policy',
            name='review_when_unmeasured',
            field=models.BooleanField(db_default=True, default=True, help_text='A person looks when a score was not measured for this language or condition, or was measured no better than guessing.'),
        ),
    ]

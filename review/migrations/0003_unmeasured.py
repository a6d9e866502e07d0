"""Items may be opened because a score was not measured."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0002_claims_and_escalation'),
    ]

    operations = [
        migrations.AlterField(
            model_name='reviewitem',
            name='reason',
            field=models.CharField(choices=[('risk', 'Risk level asks for a person'), ('not_judged', 'No detector could judge it'), ('unmeasured', 'A score cannot be relied on here'), ('audit', 'Random check of cleared content')], max_length=12),
        ),
    ]

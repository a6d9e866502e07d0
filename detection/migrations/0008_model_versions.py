"""Versions of models with their states, and what each score's model was then."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('detection', '0007_reliability'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(editable=False, max_length=100)),
                ('version', models.CharField(editable=False, max_length=40)),
                ('slot', models.CharField(editable=False, help_text='Versions of one slot are alternatives: one of them is active.', max_length=100)),
                ('task', models.CharField(editable=False, max_length=40)),
                ('modality', models.CharField(editable=False, max_length=10)),
                ('detector', models.CharField(editable=False, max_length=40)),
                ('threshold', models.FloatField(editable=False, help_text='From which probability the model itself calls its label true.')),
                ('metrics', models.JSONField(blank=True, default=dict, editable=False)),
                ('source', models.CharField(editable=False, max_length=1000)),
                ('digest', models.CharField(editable=False, help_text='sha256 of kilinda.json, which holds the sha256 of every other file.', max_length=64)),
                ('state', models.CharField(choices=[('candidate', 'Candidate'), ('shadow', 'Shadow'), ('canary', 'Canary'), ('active', 'Active'), ('retired', 'Retired')], default='candidate', editable=False, max_length=10)),
                ('share_percent', models.PositiveSmallIntegerField(blank=True, editable=False, help_text='Of the content, what a canary judges.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(99)])),
                ('registered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('moved_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('loaded_at', models.DateTimeField(blank=True, editable=False, help_text='When a worker last loaded it.', null=True)),
                ('load_error', models.TextField(blank=True, editable=False, help_text='Why a worker could not load it.')),
            ],
            options={
                'ordering': ['slot', '-id'],
            },
        ),
        migrations.CreateModel(
            name='Rollout',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('generation', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='detectorscore',
            name='role',
            field=models.CharField(choices=[('active', 'Active'), ('canary', 'Canary'), ('shadow', 'Shadow')], db_default='active', default='active', help_text="What the model was then. A shadow's score has no effect.", max_length=10),
        ),
        migrations.AddIndex(
            model_name='detectorscore',
            index=models.Index(condition=models.Q(('role__in', ['canary', 'shadow'])), fields=['detector', 'version', '-id'], name='score_on_trial'),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='moved_by',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='registered_by',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='succeeded',
            field=models.ForeignKey(blank=True, editable=False, help_text='What was active before this version; what rolling back returns to.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='successors', to='detection.modelversion'),
        ),
        migrations.AddConstraint(
            model_name='rollout',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='rollout_is_one_row'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('name', 'version'), name='model_version_once'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('slot',), name='model_one_active_in_a_slot'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'canary')), fields=('slot',), name='model_one_canary_in_a_slot'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('share_percent__isnull', False), ('share_percent__range', (1, 99)), ('state', 'canary')), models.Q(models.Q(('state', 'canary'), _negated=True), ('share_percent__isnull', True)), _connector='OR'), name='model_share_is_a_canarys'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='model_digest_is_hex'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['candidate', 'shadow', 'canary', 'active', 'retired'])), name='model_state_is_known'),
        ),
    ]

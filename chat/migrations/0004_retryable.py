from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0003_reasoning_time'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='retryable',
            field=models.BooleanField(editable=False, null=True),
        ),
    ]

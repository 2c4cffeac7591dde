from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0004_retryable'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='notice',
            field=models.CharField(blank=True, db_default='', default='', max_length=20, verbose_name='why there is no text'),
        ),
        migrations.AddField(
            model_name='message',
            name='resets',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='message',
            name='served_model',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='model that answered'),
        ),
    ]

"""Count what conversations hold already."""

from django.db import migrations, models

COUNT = """
UPDATE chat_chatsession SET stored_chars = (
    SELECT COALESCE(SUM(LENGTH(content) + LENGTH(reasoning)), 0) FROM chat_message
    WHERE chat_message.session_id = chat_chatsession.id AND status <> 'streaming'
)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0009_message_roots"),
    ]

    operations = [
        migrations.AddField(
            model_name="chatsession",
            name="stored_chars",
            field=models.BigIntegerField(default=0, editable=False, verbose_name="stored characters"),
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]

from django.db import migrations
from django.db.models import CharField
from django.db.models.functions import Cast


def name_by_id(apps, schema_editor):
    """Titles, which are what people wrote, stood in the log for all of the staff to read."""
    entries = apps.get_model("admin", "LogEntry").objects.using(schema_editor.connection.alias)
    entries.filter(content_type__app_label="chat", object_id__isnull=False).update(
        object_repr=Cast("object_id", CharField(max_length=200))
    )


class Migration(migrations.Migration):
    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("chat", "0006_error_detail"),
    ]

    operations = [migrations.RunPython(name_by_id, migrations.RunPython.noop)]

"""Make the tables and the users of the tutorial-style chat: `python -m benchmarks.tutorial.prepare`."""

import os

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.tutorial.models import ChatSession, Message, ProviderConfig  # noqa: E402

call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    for model in (ProviderConfig, ChatSession, Message):
        editor.create_model(model)
for number in range(1, int(os.environ["USERS"]) + 1):
    user = User.objects.create(id=number, username=f"user-{number}")
    ProviderConfig.objects.create(
        user=user, provider="custom", base_url=os.environ["PROVIDER_URL"], api_key="a-key"
    )

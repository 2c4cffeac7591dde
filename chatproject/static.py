"""Static files: fingerprinted, so that browsers may keep them for ever."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from servestatic.storage import CompressedManifestStaticFilesStorage

# Large, and used by no page of ours.
UNUSED = ["redoc", "swagger-ui-es-*"]


class StaticStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
    # A file missing from the manifest is a mistake to be seen in tests, not a page that fails.
    manifest_strict = False


def collect() -> None:
    """Run `collectstatic`, unless nothing has changed since: fingerprinting and compressing take seconds."""
    collected = Path(settings.STATIC_ROOT) / "collected-from"
    sources = _fingerprint()
    if collected.exists() and collected.read_text(encoding="ascii") == sources:
        return
    collected.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=UNUSED)
    collected.write_text(sources, encoding="ascii")


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{version('django')} {version('servestatic')}\n".encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list(UNUSED), key=lambda found: found[0]):
            found = os.stat(storage.path(path))
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()

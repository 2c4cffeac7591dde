"""Static files: fingerprinted, so that browsers may keep them for ever."""

from servestatic.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
    # A file missing from the manifest is a mistake to be seen in tests, not a page that fails.
    manifest_strict = False

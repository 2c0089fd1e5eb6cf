"""How static files are named when they are collected: by their content, also inside ES modules that import each other."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Assets(ManifestStaticFilesStorage):
    """For trying out: named by content, collected in seconds."""

    support_js_module_import_aggregation = True


class CompressedAssets(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """For production: also compressed once, ahead of every request."""

    support_js_module_import_aggregation = True

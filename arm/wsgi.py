"""The web process: the machine lanes, then Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arm.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from arm import collector
from arm.lanes import compose

application = compose(get_wsgi_application(), settings.LANES)
collector.keep_loaded(every=collector.PAGES)

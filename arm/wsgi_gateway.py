"""The gateway process: the same machine lanes before a Django that knows no pages."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arm.settings")
os.environ["ARM_ROOT_URLCONF"] = "arm.urls_gateway"

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from arm.lanes import compose

application = compose(get_wsgi_application(), settings.LANES)

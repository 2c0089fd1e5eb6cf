"""The gateway process: the same machine lanes before a Django that knows no pages."""

import os
import socket

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arm.settings")
os.environ["ARM_ROOT_URLCONF"] = "arm.urls_gateway"

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from arm import collector, cores
from arm.lanes import compose

if settings.GATEWAY_OWN_CORE:
    cores.keep_to_one(f"gateway {os.getppid()} {socket.gethostname()}")  # in containers every parent is 1

application = compose(get_wsgi_application(), settings.LANES)
collector.keep_loaded(every=50_000)

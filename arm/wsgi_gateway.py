"""The gateway process: the same machine lanes before a Django that knows no pages."""

import gc
import os
import socket

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arm.settings")
os.environ["ARM_ROOT_URLCONF"] = "arm.urls_gateway"

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from arm import cores
from arm.lanes import compose

if settings.GATEWAY_OWN_CORE:
    cores.keep_to_one(f"gateway {os.getppid()} {socket.gethostname()}")  # in containers every parent is 1

application = compose(get_wsgi_application(), settings.LANES)

# What was loaded stays: the collector need not walk it again while somebody waits for an answer. A batch of spans is
# some 20,000 objects that live together and go together, so looking for cycles among every 700 finds none.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)

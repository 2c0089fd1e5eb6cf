"""Fast lanes: plain WSGI callables in front of Django's handler, in the same process with the same code.

settings.LANES maps a path to the dotted path of a WSGI callable; `*` in a path stands for one part of it. A lane answers
its path with and without a trailing slash, and never redirects: an exporter counts a redirect as success and does not
follow it. A lane that would rather not answer hands the request on to `environ[DJANGO]`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

from django.utils.module_loading import import_string

App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]
DJANGO: Final = "arm.django"
"""Where a lane finds who answers what it does not."""


def compose(django: App, lanes: Mapping[str, str]) -> App:
    """One WSGI application: a lane where one is named for the path, Django for all else."""
    routes: dict[str, Any] = {}
    patterns: list[tuple[re.Pattern[str], Any]] = []
    for path, dotted in lanes.items():
        path, lane = path.rstrip("/"), import_string(dotted)
        if "*" in path:
            patterns.append((re.compile(re.escape(path).replace(r"\*", "[^/]+") + "/?"), lane))
        else:
            routes[path] = routes[path + "/"] = lane

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        app: App | None = routes.get(path)
        if app is None:
            app = next((lane for pattern, lane in patterns if pattern.fullmatch(path)), django)
        environ[DJANGO] = django
        return app(environ, start_response)

    return application

"""Fast lanes: plain WSGI callables in front of Django's handler, in the same process with the same code.

settings.LANES maps a path to the dotted path of a WSGI callable. A lane answers its path with and without a
trailing slash, and never redirects: an exporter counts a redirect as success and does not follow it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from django.utils.module_loading import import_string

App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def compose(django: App, lanes: Mapping[str, str]) -> App:
    """One WSGI application: a lane where one is named for the path, Django for all else."""
    routes: dict[str, Any] = {}
    for path, dotted in lanes.items():
        routes[path.rstrip("/")] = routes[path.rstrip("/") + "/"] = import_string(dotted)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app: App = routes.get(environ["PATH_INFO"], django)
        return app(environ, start_response)

    return application

"""The one command that runs ARM, with its real processes: it serves, mends itself and leaves nothing behind."""

import subprocess
import sys
from urllib.error import HTTPError, URLError
from urllib.request import OpenerDirector, build_opener

import pytest

from arm.management.local import ROOT

from .product import Product, parents, product, sign_in, wait_for

SHOW = """
from django.conf import settings
from arm.models import User
print(settings.GATEWAY_URL, User.objects.get().username)
"""

pytestmark = pytest.mark.processes


def is_signed_in(browser: OpenerDirector, url: str) -> bool:
    """Whether the home page answers without sending this browser to the sign-in page."""
    try:
        answer = browser.open(f"{url}/", timeout=10)
    except (HTTPError, URLError, ConnectionError, TimeoutError):
        return False
    return "/sign-in/" not in str(answer.url)


def answers(url: str) -> bool:
    try:
        return bool(build_opener().open(url, timeout=5).status == 200)
    except (HTTPError, URLError, ConnectionError, TimeoutError):
        return False


def refused(running: Product, *arguments: str) -> str:
    """The one line with which a second `up` ends at once."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT, env=running.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def test_it_serves_mends_what_is_killed_and_stops_clean() -> None:
    with product() as running:
        running.start()
        browser = sign_in(running.url)
        assert answers(f"{running.gateway}/ready/")

        # A command beside it finds the same installation.
        assert running.manage("shell", "-v", "0", "-c", SHOW).split() == [running.gateway, "admin"]

        # A second one gets a clear line, not a half start.
        other = running.data.parent / "other"
        assert "ARM already runs on" in refused(running, "--port", "9", "--data", str(running.data))
        assert "cannot listen on" in refused(running, "--port", str(running.port), "--data", str(other))
        assert "cannot listen on" in refused(running, "--port", str(running.port + 1), "--data", str(other))

        for words in (
            "arm.wsgi:application",
            "arm.wsgi_gateway:application",
            "qcluster --name arm",
            "qcluster --name signer",
            "manage.py scheduler",
        ):
            running.kill(words)
            wait_for(lambda words=words: running.runs(words))  # type: ignore[misc]
        wait_for(lambda: is_signed_in(browser, running.url))
        wait_for(lambda: answers(f"{running.gateway}/ready/"))
        assert running.log.count("starting it again in 0.5 s") == 5

        # The database dies under them; the session that was committed is still there.
        killed = running.kill("postgres")
        wait_for(lambda: is_signed_in(browser, running.url) and running.database_pid() != killed)
        wait_for(lambda: answers(f"{running.url}/ready/"))
        assert "database  | ended; starting it again" in running.log

        everyone = running.every_pid()
        assert len(everyone) > 10
        code, seconds = running.stop()
        assert code == 0, running.log
        assert seconds < 30  # it waits for nobody who has nothing to finish; how fast is for a bench
        assert running.log.endswith("stopped\n"), running.log
        wait_for(lambda: not everyone & set(parents()), 2)


def test_an_interrupted_first_start_is_finished_by_the_next() -> None:
    with product(first_start=True) as running:
        process = subprocess.Popen(
            running.command(), cwd=ROOT, env=running.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        while "Applying" not in process.stdout.readline():  # in the middle of the migrations
            pass
        process.kill()
        process.communicate()
        running.start()
        assert is_signed_in(sign_in(running.url), running.url)
        everyone = running.every_pid()
        code, _ = running.stop()
        assert code == 0
        # The killed one had started the database; its successor knew and stopped it.
        wait_for(lambda: not everyone & set(parents()), 2)

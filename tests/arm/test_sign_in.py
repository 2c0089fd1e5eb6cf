"""Too many failed sign-ins: counted by name and address, however the name is written."""

import time
from typing import Any

import pytest
from django.test import Client

from arm.forms import ONE_WAITS
from arm.models import SecurityEvent, User
from arm.services import note_security
from tests import make

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password for ivan"


@pytest.fixture
def ivan() -> User:
    ivan = make.user("ivan")
    ivan.set_password(PASSWORD)
    ivan.save()
    return ivan


def tries(name: str, password: str, address: str = "192.0.2.7", **more: Any) -> int:
    sent = {"username": name, "password": password}
    return Client().post("/sign-in/", sent, REMOTE_ADDR=address, **more).status_code


@pytest.mark.parametrize("written", ["ivan", " ivan", "ivan ", "\uff49\uff56\uff41\uff4e"])
def test_a_name_locks_however_it_is_written(ivan: User, written: str) -> None:
    for _ in range(10):
        tries(written, "guess")
    assert tries("ivan", PASSWORD) == 200
    with make.platform():
        assert SecurityEvent.objects.latest("at").kind == "sign_in_locked"
        assert set(SecurityEvent.objects.values_list("label", "address")) == {("ivan", "192.0.2.7")}


def test_a_stranger_locks_nobody_else_out(ivan: User) -> None:
    for _ in range(10):
        tries("ivan", "guess")
    assert tries("ivan", PASSWORD, address="198.51.100.4") == 302


def test_behind_a_proxy_the_last_named_address_counts(ivan: User, settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for number in range(10):
        tries("ivan", "guess", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}, 198.51.100.9")
    assert tries("ivan", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.9") == 200
    assert tries("ivan", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.10") == 302


def test_guesses_from_many_addresses_slow_a_name_down_and_lock_it_not(ivan: User) -> None:
    for number in range(50):
        note_security(SecurityEvent.Kind.SIGN_IN_FAILED, "ivan", address=f"203.0.113.{number}")
    began = time.monotonic()
    assert tries("ivan", PASSWORD) == 302
    assert time.monotonic() - began >= 1


def test_a_flood_of_guesses_holds_one_thread_and_nobody_else_waits(ivan: User) -> None:
    """As when one guess is already waiting its second: the next is told to come again, other people sign in."""
    judy = make.user("judy")
    judy.set_password(PASSWORD)
    judy.save()
    for number in range(50):
        note_security(SecurityEvent.Kind.SIGN_IN_FAILED, "ivan", address=f"203.0.113.{number}")
    with ONE_WAITS:
        answer = Client().post("/sign-in/", {"username": "ivan", "password": "guess"})
        assert (answer.status_code, answer["Retry-After"]) == (429, "2")
        assert b"Try again in a moment" in answer.content
        assert tries("judy", PASSWORD) == 302
    with make.platform():
        assert SecurityEvent.objects.filter(label="ivan").count() == 50
    assert tries("ivan", PASSWORD) == 302

"""A real Chromium against a real server on a database of its own, and the people who sit before it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from arm import db, services
from arm.models import Tenant, User
from registry.models import AgentInstance
from tests import chromium as chromium_
from tests import make

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in the tests' own thread

IMAGES = Path(__file__).parents[2] / "docs/images"
SCREENSHOTS = os.environ.get("ARM_SCREENSHOTS", "").rstrip("/")
"""The address of a demo that runs: pictures are taken of it."""
PASSWORD = "correct horse battery"
_n = count(1)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Ended with these tests: while it lives, its loop runs in this thread, and nothing that others start can."""
    expect.set_options(timeout=10_000)  # the default of five seconds is short for two busy cores
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_.path(), args=chromium_.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(_own_database: None) -> Iterator[str]:
    server = LiveServer("127.0.0.1")
    yield server.url
    server.stop()


@dataclass
class Visitor:
    """A browser window of one person. Whatever its console complains about fails the test."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        # A refused form answers 4xx, which the browser notes as an error of the resource: that is the design.
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(text)

    def goto(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page

    def sign_in(self, user: User, password: str = PASSWORD) -> Page:
        self.goto("/sign-in/")
        self.page.get_by_label("Username").fill(user.username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        # Until the answer is drawn, nobody may go on: a busy machine takes its time.
        heading = self.page.get_by_role("heading", level=1)
        refused = self.page.get_by_role("alert")
        expect(heading.filter(has_not_text="Sign in").or_(refused).first).to_be_visible(timeout=20_000)
        return self.page

    def shoot(self, name: str, of: Locator | None = None) -> None:
        """A picture for the documentation (`of`: of this part only), only where ARM_SCREENSHOTS asks for it."""
        if SCREENSHOTS:
            IMAGES.mkdir(parents=True, exist_ok=True)
            (of or self.page).screenshot(path=IMAGES / f"{name}.png")


Open = Callable[..., Visitor]


@pytest.fixture
def window(chromium: Browser, site: str, committed: None) -> Iterator[Open]:
    """Opens windows; each is a browser of its own with no cookies."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def open_window(
        width: int = 1440, height: int = 900, scheme: str = "light", script: bool = True
    ) -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=script,
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        visitors.append(Visitor(context.new_page(), site))
        return visitors[-1]

    yield open_window
    for context in contexts:
        context.close()
    assert [text for visitor in visitors for text in visitor.complaints] == []


@dataclass
class House:
    """A tenant with its people (each in their role on all of it) and one agent at work in production."""

    tenant: Tenant
    root: User
    instance: AgentInstance

    def hire(self, name: str, *roles: str, must_change_password: bool = False) -> User:
        with db.tenants([self.tenant.pk]):
            user = User.objects.create(
                username=f"{name}-{next(_n)}",
                first_name=name.title(),
                password=make_password(PASSWORD),
                must_change_password=must_change_password,
            )
            services.add_member(tenant=self.tenant, user=user, actor=self.root, reason="hired")
            for role in roles:
                services.bind(principal=user, role=role, scope=self.tenant, actor=self.root, reason="hired")
        return user


@pytest.fixture
def house(committed: None) -> House:
    number = next(_n)
    tenant = make.tenant(f"northwind-{number}", name="Northwind")
    root = make.user(f"root-{number}", is_superuser=True, member_of=tenant)
    prod = make.environment("prod", name="Production", tenant=tenant)
    agent = make.template("support-triage", name="Support triage", tenant=tenant)
    instance = make.instance(version=make.approved(template=agent), environment=prod, name="support-triage-1")
    return House(tenant, root, instance)

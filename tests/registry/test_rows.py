"""Rows of long tables are drawn by another language than pages are, by the same rules: all is escaped, nothing is guessed."""

from pathlib import Path

import pytest
from django.conf import settings
from django.template import engines
from django.urls import reverse
from jinja2 import UndefinedError, meta, nodes

from arm.templatetags.ui.rows import COMPONENTS, ENGINE, drawn
from tests import make
from tests.registry.releasing import bound

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script>\"'&{{ 7*7 }}{% if %}"
ROWS = sorted(Path(settings.BASE_DIR, "templates").rglob("*.jinja"))


@pytest.fixture
def alice(client):
    acme = make.tenant("acme")
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def hostile(alice):
    """A fleet whose every name is an attack."""
    role = make.role(name=HOSTILE)
    place, host = make.environment("prod", name=HOSTILE), make.provider(name=HOSTILE)
    build = make.approved(template=make.template(name=HOSTILE, tags=[HOSTILE]), label=HOSTILE[:60])
    slot = bound(make.slot(role=role, environment=place, provider=host), build, actor=alice)
    for state in ("active", "draining"):
        make.instance(name=HOSTILE, version=build, environment=place, provider=host, slot=slot, state=state)
    make.used_thing(build, HOSTILE)
    make.role_assignment(version=build, role=role, environment=place, reason=HOSTILE)
    return build


@pytest.mark.parametrize(
    "name",
    [
        "template",
        "version",
        "instance",
        "slot",
        "draining",
        "role",
        "assignment",
        "channel_board",
        "fleet_at",
        "uses",
    ],
)
def test_names_that_attack_are_text_in_every_table(client, hostile, name):
    page = client.get(reverse(f"registry:{name if '_' in name else f'{name}_list'}"))
    html = page.content.decode()
    assert page.status_code == 200 and "<tbody>" in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(" in html.partition("<tbody>")[2] and "{{ 7*7 }}" in html


def test_what_a_template_is_not_given_is_an_error_and_not_a_gap():
    with pytest.raises(UndefinedError):
        drawn("registry/rows/slots.jinja")
    with pytest.raises(UndefinedError):
        drawn("registry/rows/slots.jinja", slots=[object()])


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.name)
def test_templates_call_only_what_there_is(path):
    """A name that is neither given nor a component would fail only for the row that needs it."""
    environment = engines[ENGINE].env
    assert environment.autoescape
    asked = meta.find_undeclared_variables(environment.parse(path.read_text()))
    calls = {
        node.node.name
        for node in environment.parse(path.read_text()).find_all(nodes.Call)
        if isinstance(node.node, nodes.Name)
    }
    known = {component.__name__ for component in COMPONENTS}
    assert calls & asked <= known, path.name


def test_help_that_is_made_when_it_is_drawn_is_the_html_that_it_says_it_is(client, alice):
    """Django's rules for passwords are a list, and lazy."""
    page = client.get(reverse("password_change")).content.decode()
    assert "<ul><li>" in page and "&lt;li&gt;" not in page

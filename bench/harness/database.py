"""A database for one bench: a copy of a prepared template, dropped afterwards; the user's own is never touched."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

VACUUM_SECONDS = 60
TEMPLATE, NAME = "arm_bench_template", "arm_bench"


def named(url: str, database: str) -> str:
    """The same server and login, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def recreate(url: str, database: str, template: str | None = None) -> None:
    """Drop and create a database, from `template` if given. `url` logs in with the right to create databases."""
    with psycopg.connect(url, autocommit=True) as connection:
        drop(url, database)
        create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        if template:
            create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        connection.execute(create)


def drop(url: str, database: str) -> None:
    """Drop a database, whoever is connected. The server's own vacuum may be in it: nobody but a superuser ends that."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
    end = time.monotonic() + VACUUM_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            try:
                connection.execute(statement)
                return
            except psycopg.errors.InsufficientPrivilege:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)


def point_django_at(url: str) -> None:
    """This process and the servers it starts use this database from now on."""
    os.environ["DATABASE_URL"] = url
    name = urlsplit(url).path.strip("/")
    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name
        connections.settings[alias]["NAME"] = name


@contextmanager
def template(url: str) -> Iterator[None]:
    """Migrate once for all benches of this run; `url` is the owner's on the user's database."""
    recreate(url, TEMPLATE)
    point_django_at(named(url, TEMPLATE))
    call_command("prepare", verbosity=0)  # by name: its module needs the models, before there are settings
    connections.close_all()
    try:
        yield
    finally:
        connections.close_all()
        drop(url, TEMPLATE)


@contextmanager
def fresh_database(url: str) -> Iterator[None]:
    """An empty, prepared database for one bench."""
    recreate(url, NAME, TEMPLATE)
    point_django_at(named(url, NAME))
    try:
        yield
    finally:
        connections.close_all()
        drop(url, NAME)

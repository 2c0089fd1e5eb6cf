"""The embedded server: private, recoverable, never a superuser, and it changes nothing that it did not make."""

import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from arm import pg
from arm.pg import place, server


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data directory with a running server, below a parent that the server's account may pass."""
    parent = Path(tempfile.mkdtemp(prefix="arm-pg-"))
    parent.chmod(0o711)
    yield parent / "data"
    pg.stop(parent / "data")
    shutil.rmtree(parent)


def pid_of(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_the_first_call_starts_a_server_and_the_second_attaches_to_it(data: Path) -> None:
    first = pg.ensure(data)
    second = pg.ensure(data)
    assert first.started and not second.started
    assert first.owner == second.owner
    assert pg.is_running(data)


def test_arm_is_no_superuser_and_passes_no_row_security(data: Path) -> None:
    url = pg.ensure(data).owner
    rights = value(
        url,
        "SELECT ARRAY[rolsuper, rolbypassrls, rolreplication, rolcreatedb, rolcreaterole]"
        " FROM pg_roles WHERE rolname = current_user",
    )
    assert rights == [False, False, False, True, True]
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("ALTER ROLE arm_owner SUPERUSER")


def test_nobody_connects_without_the_password(data: Path) -> None:
    url = urlsplit(pg.ensure(data).owner)
    host = unquote(url.query.removeprefix("host="))
    for user in ("arm_owner", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(host=host, user=user, dbname="arm", passfile=str(data / "no-such-file"))
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=host, user=user, dbname="arm", password="guess")


def test_the_server_listens_on_no_network_and_its_socket_is_private(data: Path) -> None:
    url = pg.ensure(data).owner
    assert value(url, "SHOW listen_addresses") == ""
    sockets = Path(unquote(urlsplit(url).query.removeprefix("host=")))
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700


def test_text_is_utf8_and_sorts_by_code_point_on_every_machine(data: Path) -> None:
    url = pg.ensure(data).owner
    assert value(url, "SHOW server_encoding") == "UTF8"
    ordered = value(url, "SELECT array_agg(word ORDER BY word) FROM unnest(ARRAY['b', 'É', 'a', 'B']) word")
    assert ordered == ["B", "a", "b", "É"]
    assert value(url, "SELECT lower('É')") == "é"


def test_committed_rows_survive_kill_9_of_the_server(data: Path) -> None:
    url = pg.ensure(data).owner
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 500) AS number")
    os.kill(pid_of(data), signal.SIGKILL)
    until = time.monotonic() + 5
    while pg.is_running(data) and time.monotonic() < until:  # a signal takes a moment to arrive
        time.sleep(0.01)
    again = pg.ensure(data)
    assert again.started
    assert value(again.owner, "SELECT count(*) FROM kept") == 500


def test_a_pid_file_that_names_another_program_does_not_stop_a_start(data: Path) -> None:
    pg.ensure(data)
    assert pg.stop(data)
    pid_file = data / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{data}/postgres\n0\n5432\n{data}/run\n\n\nready\n")
    assert not pg.is_running(data)
    assert pg.ensure(data).started
    assert pid_of(data) != os.getpid()


def test_parallel_first_calls_start_one_server(data: Path) -> None:
    pg.stop(data)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(pg.ensure, [data] * 4))
    assert [answer.started for answer in answers].count(True) == 1
    assert len({answer.owner for answer in answers}) == 1


def test_stopping_twice_says_that_nothing_ran(data: Path) -> None:
    pg.ensure(data)
    assert pg.stop(data) is True
    assert pg.stop(data) is False
    assert not pg.is_running(data)


def test_what_it_did_not_make_keeps_its_mode_and_owner(data: Path) -> None:
    pg.stop(data)
    above = list(data.parents)
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in above]
    pg.ensure(data)
    assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in above] == before


def test_a_first_start_that_was_killed_half_way_is_begun_again(data: Path) -> None:
    half = data.parent / "half"
    (half / "postgres.new").mkdir(parents=True)
    (half / "postgres.new" / "PG_VERSION").write_text("18\n")
    half.chmod(0o711)
    try:
        assert value(pg.ensure(half).owner, "SELECT 1") == 1
    finally:
        pg.stop(half)


def test_a_cluster_that_is_made_anew_and_killed_half_way_gets_its_owner_at_the_next_start(data, monkeypatch):
    pg.ensure(data)
    pg.stop(data)
    shutil.rmtree(data / "postgres")  # the secrets of the cluster that is gone are still there

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(server, "_create_owner", killed)
        pg.ensure(data)
    assert value(pg.ensure(data).owner, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["long-" * 20, "one, two"])
def test_a_path_that_does_not_do_for_a_socket_gets_a_short_private_one(data: Path, name: str) -> None:
    deep = data.parent / name / "data"
    try:
        url = pg.ensure(deep).owner
        sockets = Path(unquote(urlsplit(url).query.removeprefix("host=")))
        assert deep not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert value(url, "SELECT 1") == 1
    finally:
        pg.stop(deep)
    sockets.rmdir()


def test_spaces_and_quotes_in_the_path_are_nothing_special(data: Path) -> None:
    odd = data.parent / """it's "mine" $HOME `id`"""
    try:
        assert value(pg.ensure(odd).owner, "SELECT 1") == 1
    finally:
        pg.stop(odd)


def test_a_directory_that_the_server_may_not_enter_is_refused_with_the_fix(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o000)
    with pytest.raises(pg.PostgresUnavailable, match=r"chmod o\+x|--data"):
        place.require_passage(place.account_for(closed), closed)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o000
    closed.chmod(0o700)


def test_secrets_are_made_once_and_kept(data: Path) -> None:
    first = pg.secret(data, "for_this_test")
    assert len(first) >= 50
    assert pg.secret(data, "for_this_test") == first
    assert pg.secret(data, "another") != first

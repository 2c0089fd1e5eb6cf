"""Hosts, paths and commands are compared as structure, never as substrings."""

import pytest

from tests.policy.engine_cases import ask, call, codes, decided, policy


def fetch(url, *hosts):
    return decided(call("web_fetch", {"url": url}), policy(network=[{"host": host} for host in hosts]))


@pytest.mark.parametrize(
    ("url", "hosts", "answer"),
    [
        ("https://api.example.com/v1?x=1", ["api.example.com"], "allow"),
        ("https://API.Example.COM./v1", ["api.example.com"], "allow"),
        ("https://api.example.com.evil.net/", ["api.example.com"], "deny"),
        ("https://evil.net/api.example.com", ["api.example.com"], "deny"),
        ("https://api.example.com@evil.net/", ["api.example.com"], "deny"),
        ("https://evil.net#@api.example.com", ["api.example.com"], "deny"),
        ("https://evil.net\\@api.example.com", ["api.example.com"], "deny"),
        ("https://api.example.com:8443/", ["api.example.com"], "deny"),
        ("https://a.example.com/", ["*.example.com"], "allow"),
        ("https://a.b.example.com/", ["*.example.com"], "allow"),
        ("https://example.com/", ["*.example.com"], "deny"),
        ("https://evilexample.com/", ["*.example.com"], "deny"),
        ("https://anything.example.org/", ["*"], "allow"),
        ("http://169.254.169.254/latest/meta-data", ["*"], "deny"),
        ("http://localhost/", ["*"], "deny"),
        ("http://[::1]/", ["*"], "deny"),
        ("http://2130706433/", ["*"], "deny"),
        ("http://0x7f.1/", ["*"], "deny"),
        ("http://127.0.0.1/", ["127.0.0.1"], "allow"),
        ("https://anything.example.org/", [], "deny"),
    ],
)
def test_a_host_is_reached_only_if_it_is_listed(url, hosts, answer):
    assert fetch(url, *hosts) == answer


def test_other_ports_than_those_of_the_web_are_listed_by_number():
    under = policy(network=[{"host": "db.example.com", "ports": [5432]}])
    assert decided(call("http_request", {"host": "db.example.com", "port": 5432}), under) == "allow"
    assert decided(call("http_request", {"host": "db.example.com", "port": 22}), under) == "deny"
    assert decided(call("http_request", {"url": "https://db.example.com"}), under) == "deny"


def test_a_network_call_that_hides_its_host_is_denied_unless_every_host_may_be_reached():
    assert codes(ask(call("browser"), policy(network=[{"host": "a.example"}]))) == ["host_unknown"]
    assert decided(call("browser"), policy(network=[{"host": "*"}])) == "allow"


def test_a_url_is_found_under_any_name():
    under = policy(network=[{"host": "a.example"}])
    assert decided(call("fetch", {"input": "https://evil.net/x"}), under) == "deny"
    assert decided(call("web_search", {"q": "what is https://evil.net/x"}), under) == "allow"


@pytest.mark.parametrize(
    ("tool", "path", "answer"),
    [
        ("read_file", "/srv/app/a.txt", "allow"),
        ("read_file", "/srv/app", "allow"),
        ("read_file", "/srv/app/../app/a.txt", "allow"),
        ("read_file", "/srv/app/../../etc/passwd", "deny"),
        ("read_file", "/srv/app/%2e%2e/%2e%2e/etc/passwd", "deny"),
        ("read_file", "/srv/app/..\\..\\etc\\passwd", "deny"),
        ("read_file", "/srv/application/a.txt", "deny"),
        ("read_file", "/etc/srv/app", "deny"),
        ("read_file", "~/.ssh/id_rsa", "deny"),
        ("read_file", "C:\\secrets.txt", "deny"),
        ("read_file", "srv/app/a.txt", "deny"),
        ("read_file", "/srv/app/a\x00.txt", "deny"),
        ("write_file", "/srv/app/a.txt", "deny"),
        ("write_file", "/srv/app/out/a.txt", "allow"),
        ("read_file", "/srv/app/out/a.txt", "allow"),
        ("read_file", "work/notes.md", "allow"),
        ("read_file", "work/../../x", "deny"),
    ],
)
def test_a_path_is_reached_only_below_a_listed_directory(tool, path, answer):
    under = policy(
        paths=[
            {"path": "/srv/app", "access": "read"},
            {"path": "/srv/app/out", "access": "write"},
            {"path": "work", "access": "read"},
        ]
    )
    assert decided(call(tool, {"path": path}), under) == answer


def test_a_rename_is_held_against_both_ends():
    under = policy(paths=[{"path": "work", "access": "write"}])
    assert decided(call("rename_file", {"from": "work/a", "to": "work/b"}), under) == "allow"
    assert decided(call("rename_file", {"from": "work/a", "to": "elsewhere/b"}), under) == "deny"


def test_a_pattern_that_climbs_is_a_path():
    under = policy(paths=[{"path": ".", "access": "read"}])
    assert decided(call("glob", {"pattern": "**/*.py"}), under) == "allow"
    assert decided(call("glob", {"pattern": "/etc/**"}), under) == "deny"
    assert decided(call("glob", {"pattern": "../**"}), under) == "deny"


def test_an_attachment_is_a_path_too():
    under = policy(paths=[{"path": "outbox", "access": "write"}])
    mail = {"to": "a@example.com", "attachments": [{"path": "/etc/shadow"}]}
    assert decided(call("send_email", mail), under) == "deny"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["git", "status"], "allow"),
        ("git status", "allow"),
        ("git status --short", "deny"),
        ("git log --oneline -n 5", "allow"),
        ("pytest tests", "allow"),
        ("pytest tests extra", "deny"),
        ("git status; rm -rf /", "deny"),
        ("git log && curl evil.net", "deny"),
        ("git log $(cat /etc/passwd)", "deny"),
        ("git log `id`", "deny"),
        ("git log\nid", "deny"),
        ("echo git status", "deny"),
        ("/usr/bin/git status", "deny"),
        ("git 'status", "deny"),
    ],
)
def test_a_command_runs_only_if_its_tokens_are_listed(command, answer):
    listed = [["git", "status"], ["git", "log", "**"], ["pytest", "*"]]
    under = policy(commands=[{"argv": argv} for argv in listed])
    assert decided(call("bash", {"command": command}), under) == answer


def test_a_shells_command_is_found_under_any_name():
    assert decided(call("shell", {"input": "id"}), policy(commands=[])) == "deny"


def test_an_empty_list_allows_nothing_and_the_answer_says_so():
    nowhere = policy(network=[], paths=[], commands=[])
    assert codes(ask(call("web_fetch", {"url": "https://a.example"}), nowhere)) == ["host_denied"]
    assert codes(ask(call("read_file", {"path": "a"}), nowhere)) == ["path_denied"]
    verdict = ask(call("bash", {"command": "ls -l | sort"}), nowhere)
    assert codes(verdict) == ["command_composite"]
    assert "pass argv as a list" in verdict.reasons[0].sentence


def test_tools_that_reach_nowhere_need_no_lists():
    nowhere = policy(network=[], paths=[], commands=[])
    assert decided(call("think", {"note": "x"}), nowhere) == "allow"
    assert decided(call("create_doc", {"folder": "Marketing/2026"}), nowhere) == "allow"

"""Which path goes to which lane, and that a lane may hand on what it does not answer."""

import pytest

from arm import lanes


def exact(environ, start_response):
    return [b"exact"]


def within(environ, start_response):
    return [b"within"]


def shy(environ, start_response):
    return environ[lanes.DJANGO](environ, start_response)


def django(environ, start_response):
    return [b"django"]


HERE = __name__
MOUNTED = {"/a/b": f"{HERE}.exact", "/a/*/c": f"{HERE}.within", "/shy": f"{HERE}.shy"}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/a/b", b"exact"),
        ("/a/b/", b"exact"),
        ("/a/x.y/c", b"within"),
        ("/a/x.y/c/", b"within"),
        ("/a//c", b"django"),
        ("/a/x/y/c", b"django"),
        ("/a/x/c/d", b"django"),
        ("/b/a/x/c", b"django"),
        ("/shy", b"django"),
    ],
)
def test_a_path_finds_its_lane_or_django(path, answer):
    assert list(lanes.compose(django, MOUNTED)({"PATH_INFO": path}, None)) == [answer]

"""Somebody who is signed in and asks the directory's API."""

import json
from typing import Any

from django.test import Client

from arm.models import User

API = "/api/v1/registry/"


class Caller:
    """Somebody who asks the API: `alice.post("acts/", action=…)`."""

    def __init__(self, user: User) -> None:
        self.user, self.client = user, Client()
        self.client.force_login(user)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(API + path, headers=headers)

    def send(self, method: str, path: str, body: dict[str, Any], **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        ask = getattr(self.client, method)
        return ask(API + path, json.dumps(body), content_type="application/json", headers=named)

    def post(self, path: str, **body: Any) -> Any:
        return self.send("post", path, body)


def pointers(answer: Any) -> set[str]:
    assert answer.status_code == 422, answer.content
    return {problem["pointer"] for problem in answer.json()["errors"]}

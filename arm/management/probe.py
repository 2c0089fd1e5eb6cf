"""Ask a server of ours whether it serves: `python -m arm.management.probe URL` for health checks of containers."""

import os
import sys
import urllib.error
import urllib.request

SECONDS = 3.0


def refusal(url: str, *, allowed_hosts: str, seconds: float = SECONDS) -> str:
    """Why this server does not say yes; empty when it does. Asks by the first name that it answers to."""
    host = allowed_hosts.split(",")[0].strip().lstrip(".*")
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - as above
            return "" if answer.status == 200 else f"status {answer.status}"
    except urllib.error.HTTPError as problem:
        with problem:
            return f"status {problem.code}: {problem.read(300).decode(errors='replace')}"
    except OSError as problem:
        return str(problem)


if __name__ == "__main__":
    why = refusal(sys.argv[1], allowed_hosts=os.environ.get("ARM_ALLOWED_HOSTS", ""))
    sys.exit(f"{sys.argv[1]} does not say yes: {why}" if why else 0)

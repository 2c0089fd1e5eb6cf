"""`python -m arm.pg ensure|stop|status [--data DIR]`: the embedded server by hand."""

import argparse
import sys
from pathlib import Path

from . import PostgresUnavailable, default_data, ensure, is_running, stop


def main() -> int:
    """Print the owner's URL (ensure) or one word; exit 0, or 1 with one line on the error stream.
    `status` exits 3 when nothing runs, as pg_ctl does."""
    parser = argparse.ArgumentParser(prog="python -m arm.pg", description=__doc__)
    parser.add_argument("verb", choices=["ensure", "stop", "status"])
    parser.add_argument(
        "--data", type=Path, default=None, help="data directory (default: that of this checkout)"
    )
    options = parser.parse_args()
    data = options.data or default_data()
    try:
        if options.verb == "ensure":
            print(ensure(data).owner)
            return 0
        if options.verb == "stop":
            print("stopped" if stop(data) else "not running")
            return 0
        running = is_running(data)
    except PostgresUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    print("running" if running else "not running")
    return 0 if running else 3


if __name__ == "__main__":
    sys.exit(main())

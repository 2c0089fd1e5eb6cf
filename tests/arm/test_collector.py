"""A web process does not walk over all that it has loaded while somebody waits."""

import subprocess
import sys


def test_what_a_web_process_loaded_is_kept_from_the_collector():
    asked = "import gc, arm.wsgi; print(gc.get_freeze_count(), len(gc.get_objects()))"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    kept, left = map(int, answer.stdout.split())
    assert kept > 20 * left

#!/usr/bin/env python
"""Django's command line for ARM."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arm.settings")
    from django.core.management import execute_from_command_line

    from arm.management import local

    if sys.argv[1:2] != ["up"]:  # which makes the installation that it runs
        local.adopt(os.environ, makes=sys.argv[1:2] == ["prepare"])
    execute_from_command_line(sys.argv)

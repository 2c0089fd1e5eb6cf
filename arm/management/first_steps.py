"""What every start of an installation does before its processes: the database made ready, the first administrator.

`python -m arm.management.first_steps`: two commands in one process, which saves a second of every start.
"""

import django
from django.core.management import call_command

if __name__ == "__main__":
    django.setup()
    call_command("prepare", skip_checks=False)
    call_command("first_admin", skip_checks=True)

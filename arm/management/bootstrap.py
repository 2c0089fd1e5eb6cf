"""From a bare Python to a virtual environment that matches the lock: what `./run` and `./test` do first.

Runs under the system's Python before anything is installed, so it imports nothing but the standard library.
"""

import ast
import ctypes
import ctypes.util
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
TOOL, VENV = ROOT / ".uv", ROOT / ".venv"
MARK = VENV / "arm-lock"
USAGE = """\
./run [--demo] [--port N] [--data DIR] [--host H]   set everything up and run ARM until Ctrl-C
./run manage [--data DIR] COMMAND [...]             a Django command on the same installation
./run bench [NAME...] [--quick] [--json FILE]       measure
./test [--fast] [pytest arguments]                  every check

--demo       fill an empty installation with a believable fleet
--port N     web on N (default 8000), gateway for agents on N+1
--data DIR   where the database and the secrets live (default .arm; for root below /var/lib/arm)
--host H     address to listen on (default 127.0.0.1)

ARM_ADMIN_PASSWORD sets the first password; DATABASE_URL uses a PostgreSQL of yours instead of the embedded one."""

# WeasyPrint loads these by name at run time: (file to load, name for the linker, Debian package).
LIBRARIES = [
    ("libpango-1.0.so.0", "pango-1.0", "libpango-1.0-0"),
    ("libpangoft2-1.0.so.0", "pangoft2-1.0", "libpangoft2-1.0-0"),
    ("libharfbuzz-subset.so.0", "harfbuzz-subset", "libharfbuzz-subset0"),
]
FONTS = (
    "fonts-dejavu-core",
    ["/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"],
)
MAC_FONTS = ["/System/Library/Fonts", "/Library/Fonts"]
PROGRAMS = [
    (["chromium", "chromium-browser", "google-chrome"], "chromium"),
    (["pdftotext"], "poppler-utils"),
    (["openssl"], "openssl"),
    (["jq"], "jq"),
]


class CannotSetUp(RuntimeError):
    """Something is missing that this program may not or could not install; one line with the fix."""


def main(arguments: list[str]) -> NoReturn:
    """`run …` or `test …`: set up, then become the real program."""
    verb, rest = arguments[0], arguments[1:]
    if verb == "run" and rest[:1] in (["-h"], ["--help"]):
        print(USAGE)
        sys.exit(0)
    try:
        install_system_packages(missing_packages(for_tests=verb == "test"))
        synchronise("requirements-dev.txt" if verb == "test" or rest[:1] == ["bench"] else "requirements.txt")
    except CannotSetUp as problem:
        sys.exit(str(problem))
    except OSError as problem:
        sys.exit(
            f"{problem.filename}: {problem.strerror}; run as the owner of {ROOT} or in a copy of your own"
        )
    become(verb, rest)


def become(verb: str, rest: list[str]) -> NoReturn:
    """Replace this process by the virtual environment's Python, with the environment of a local installation."""
    python = str(VENV / "bin" / "python")
    environment = {**os.environ, "ARM_PRODUCTION": os.environ.get("ARM_PRODUCTION", "0")}
    environment.pop("PYTHONPATH", None)
    # A start is ten processes: where none may keep what it compiled, each compiles every library anew, for half a minute.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment.setdefault("PYTHONPYCACHEPREFIX", str(VENV / "bytecode"))
    if verb == "test":
        command = [python, "-m", "arm.management.suite", *rest]
    elif rest[:1] == ["bench"]:
        command = [python, "-m", "bench", *rest[1:]]
    elif rest[:1] == ["manage"]:
        command = [python, "-m", "arm.management.local", *absolute_data(rest[1:3]), *rest[3:]]
    else:
        command = [python, "manage.py", "up", *absolute_data(rest)]
    os.chdir(ROOT)
    os.execve(python, command, environment)  # noqa: S606 - our own interpreter


def absolute_data(arguments: list[str]) -> list[str]:
    """`--data` is the caller's path: make it whole before the working directory changes."""
    whole = list(arguments)
    for number, word in enumerate(whole):
        if word == "--data" and number + 1 < len(whole):
            whole[number + 1] = os.path.abspath(whole[number + 1])
        elif word.startswith("--data="):
            whole[number] = "--data=" + os.path.abspath(word.removeprefix("--data="))
    return whole


def missing_packages(for_tests: bool) -> list[str]:
    """Debian's names of what this machine lacks, found by trying it rather than by asking a package manager."""
    missing = [package for file, name, package in LIBRARIES if not loads(file, name)]
    if not any(holds_a_font(Path(place).expanduser()) for place in FONTS[1] + MAC_FONTS):
        missing.append(FONTS[0])
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    if for_tests:
        missing += [package for names, package in PROGRAMS if not any(map(shutil.which, names))]
    return missing


def loads(file: str, name: str) -> bool:
    """Whether the dynamic linker finds the library."""
    for candidate in (file, ctypes.util.find_library(name)):
        try:
            if candidate and ctypes.CDLL(candidate):
                return True
        except OSError:
            continue
    return False


def holds_a_font(place: Path) -> bool:
    return any(True for kind in ("*.ttf", "*.otf", "*.ttc", "*.pfb") for _ in place.rglob(kind))


def install_system_packages(missing: list[str]) -> None:
    """Install with apt-get where this process may, saying so first; otherwise name the command and stop."""
    if not missing:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None:
        raise CannotSetUp(
            f"Missing (Debian's names): {' '.join(missing)}. Install them with your package manager."
        )
    if os.geteuid() != 0:
        raise CannotSetUp(f"Missing system packages. Type: sudo apt-get install -y {' '.join(missing)}")
    print(f"installing system packages: {' '.join(missing)} (apt-get)", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], install):
        run(command, quiet, f"apt-get could not install {' '.join(missing)}")


def synchronise(lock_name: str) -> None:
    """Make `.venv` hold exactly what the lock names; nothing is done when it already does.

    The development lock holds all of the running one, so `./run` is content with either.
    """
    if is_synchronised(lock_name):
        return
    with alone():
        if not is_synchronised(lock_name):  # another set-up may have done it meanwhile
            fill(lock_name)


def is_synchronised(lock_name: str) -> bool:
    if VENV.is_symlink():  # someone's own arrangement, such as one environment for several worktrees
        return True
    if not MARK.exists():
        return False
    accepted = [f"{name} {stamp(ROOT / name)}" for name in (lock_name, "requirements-dev.txt")]
    return MARK.read_text() in accepted and works(VENV / "bin" / "python")


def fill(lock_name: str) -> None:
    """Install the lock's packages into `.venv`, making it and the installer where they are missing."""
    print(f"setting up the virtual environment from {lock_name}", flush=True)
    environment = caches({**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    environment = {**environment, **mirrors(pip_settings(install_uv(environment), environment), environment)}
    uv = str(TOOL / "venv" / "bin" / "uv")
    if not works(VENV / "bin" / "python"):
        run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(VENV)], environment,
            "the virtual environment .venv cannot be made")  # fmt: skip
    MARK.unlink(missing_ok=True)
    run(
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--python",
            str(VENV / "bin" / "python"),
            lock_name,
        ],
        environment,
        f"the packages of {lock_name} cannot be installed",
    )
    MARK.write_text(f"{lock_name} {stamp(ROOT / lock_name)}")


def stamp(lock: Path) -> str:
    """Changes with the lock, the interpreter that the packages are for, and the place that their scripts name."""
    text = lock.read_bytes() + f"{sys.version} {sys.executable} {VENV}".encode()
    return hashlib.sha256(text).hexdigest()


def install_uv(environment: Mapping[str, str]) -> str:
    """The installer lives beside, not in, the environment it fills; return the Python that has it."""
    python, pinned = TOOL / "venv" / "bin" / "python", ROOT / "requirements-uv.txt"
    mark = TOOL / "venv" / "arm-lock"
    if works(python) and mark.exists() and mark.read_text() == stamp(pinned):
        return str(python)
    failed = "uv cannot be installed"
    run([sys.executable, "-m", "venv", "--clear", str(TOOL / "venv")], environment, failed)
    run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--require-hashes", "-r", str(pinned)],
        {**environment, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"},
        failed,
    )  # fmt: skip
    mark.write_text(stamp(pinned))
    return str(python)


def caches(environment: Mapping[str, str]) -> dict[str, str]:
    """Where downloads are kept: as the user has it, or inside the checkout when there is no home to write to."""
    home = environment.get("HOME", "")
    if home and (os.access(Path(home) / ".cache", os.W_OK) or os.access(home, os.W_OK)):
        return dict(environment)
    inside = {"UV_CACHE_DIR": str(TOOL / "cache"), "PIP_CACHE_DIR": str(TOOL / "pip-cache")}
    return {**inside, **environment, "HOME": home or str(TOOL)}


def pip_settings(python: str, environment: Mapping[str, str]) -> str:
    """What pip is configured to, files and environment together: a `scope.name='value'` a line."""
    listed = subprocess.run(  # noqa: S603 - our own interpreter
        [python, "-m", "pip", "config", "list"], env=environment, capture_output=True, text=True, check=False
    )
    return listed.stdout


def mirrors(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """pip's configured sources, in uv's words: uv does not read pip's settings. A user's uv settings win."""
    if any(
        name in environment for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")
    ):
        return {}
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, quoted = line.partition("=")
        settings[name.rpartition(".")[2]] = " ".join(str(ast.literal_eval(quoted)).split())
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
        "proxy": "ALL_PROXY",
        "default-timeout": "UV_HTTP_TIMEOUT",
        "timeout": "UV_HTTP_TIMEOUT",
    }
    found = {
        names[name]: text
        for name, text in settings.items()
        if name in names and names[name] not in environment
    }
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        found["UV_NO_INDEX"] = "1"
    # pip compares all sources; the hashes in the lock decide what is let in either way.
    return {**found, "UV_INDEX_STRATEGY": "unsafe-best-match"}


def works(python: Path) -> bool:
    """Whether the interpreter starts: one whose base was removed or replaced does not."""
    try:
        wanted = ".".join(map(str, sys.version_info[:2]))
        told = subprocess.run(  # noqa: S603 - our own interpreter
            [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return told.stdout.strip() == wanted


def run(command: list[str], environment: Mapping[str, str], failed: str) -> None:
    """Run to the end; on failure show what it said and stop with one line."""
    done = subprocess.run(  # noqa: S603 - fixed programs, no shell
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout.rstrip(), file=sys.stderr)
        raise CannotSetUp(
            f"{failed}: {' '.join(command[:4])} … ended with {done.returncode} (its words are above)"
        )


@contextmanager
def alone() -> Iterator[None]:
    """One set-up at a time per checkout."""
    TOOL.mkdir(exist_ok=True)
    with (TOOL / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main(sys.argv[1:])

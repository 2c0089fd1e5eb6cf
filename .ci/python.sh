# Sourced by run and test: sets $python to a Python 3.11 or newer, or ends with the command to type.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return 0
    done
    return 1
}
if ! find_python; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing system packages: python3 python3-venv (apt-get)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            python3 python3-venv ca-certificates >/dev/null
    fi
    if ! find_python; then
        echo "ARM needs Python 3.11 or newer: sudo apt-get install python3 python3-venv" >&2
        exit 1
    fi
fi

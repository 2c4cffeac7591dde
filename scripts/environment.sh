#!/bin/sh
# Make sure that a virtual environment holds exactly what a requirements file asks for:
#
#   scripts/environment.sh .venv requirements.txt
#
# This part only finds a Python; environment.py beside it does the rest. Where the environment is there
# already and fits, neither another Python nor the network is needed.
set -eu

cd "$(dirname "$0")/.."
venv=$1
requirements=$2
unset PYTHONPATH PYTHONHOME

if [ -z "${PYTHON:-}" ] && [ -x "$venv/bin/python" ]; then
    if "$venv/bin/python" scripts/environment.py check "$venv" "$requirements" 2>/dev/null; then
        exit 0
    fi
fi

# A name on the PATH proves nothing: version managers leave shims that fail, and some systems ship a Python
# without the means to make an environment. So each candidate is tried, and the best refusal is remembered.
trouble=
try() {
    command -v "$1" >/dev/null 2>&1 || return 1
    "$1" -c '' >/dev/null 2>&1 || return 1
    if ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        [ -n "$trouble" ] || trouble="The Python found ($1, $("$1" --version 2>&1)) is too old: 3.11 or newer is needed."
        return 1
    fi
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        trouble="$1 ($version) cannot make virtual environments: its venv or ensurepip module is missing.
On Debian or Ubuntu: apt-get install python$version-venv (or python3-venv)"
        return 1
    fi
}

python=
if [ -n "${PYTHON:-}" ]; then
    if try "$PYTHON"; then
        python=$PYTHON
    elif [ -z "$trouble" ]; then
        trouble="PYTHON=$PYTHON does not run."
    fi
else
    for candidate in python3.13 python3.12 python3.11 python3 python3.14 python; do
        if try "$candidate"; then
            python=$candidate
            break
        fi
    done
fi

if [ -z "$python" ]; then
    printf '%s\n' "${trouble:-No Python was found; 3.11 or newer is needed.
On Debian or Ubuntu: apt-get install python3 python3-venv
On macOS: brew install python@3.13}" >&2
    echo "PYTHON=/path/to/python make ... chooses another one." >&2
    exit 1
fi

exec "$python" scripts/environment.py build "$venv" "$requirements"

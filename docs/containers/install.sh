#!/bin/sh
# radforge with exactly the versions of constraints.txt, in a folder of its own: what both container definitions run.
#
#   sh docs/containers/install.sh SOURCE PREFIX        PREFIX must not be there yet; it takes about 7 GB
set -eu
source=$1
prefix=$2
test ! -e "$prefix" || { echo "$prefix is there already" >&2; exit 2; }

python3 -m venv "$prefix"
"$prefix/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
    --constraint "$source/constraints.txt" "$source[train]"
"$prefix/bin/python" -m pip check

# Whoever runs the container is not who built it.
chmod -R a+rX "$prefix"
for command in etl train rjobs; do
    "$prefix/bin/$command" --help > /dev/null
done

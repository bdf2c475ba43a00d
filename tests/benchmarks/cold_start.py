"""Measures how fast a Lambda package starts and answers `/health`; `make bench` has the peers.

usage: python tests/benchmarks/cold_start.py PACKAGE.zip [--runs 9]

It is unpacked as Lambda would, and run by `python -I -S` (nothing but the folder and the standard
library). Times are of the processor, not of the clock, so that a busy machine does not blur them;
the smallest of all runs counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from config.stack import Stack  # noqa: E402  (found by the line above, also when run as a script)

EVENT = json.loads((ROOT / "tests" / "events" / "rest_proxy.json").read_text()) | {
    "path": "/health"
}
EVENT["requestContext"]["path"] = "/dev/health"

PROBE = """
import json, sys, time
folder, name, event = sys.argv[1:]
sys.path.insert(0, folder)
event = json.loads(event)
clock = time.process_time
begun = clock()
module = __import__(name, fromlist=["lambda_handler"])
loaded = clock()
answer = module.lambda_handler(event, None)
answered = clock()
assert answer["statusCode"] == 200, answer
for _ in range(300):
    module.lambda_handler(event, None)
print("\\n" + json.dumps([loaded - begun, answered - loaded, (clock() - answered) / 300]))
"""

OWN = {"region", "endpoint_url"}  # Lambda itself says where
# What a deployed function is given; no call is made, so nothing behind these names exists.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_LAMBDA_FUNCTION_NAME": "parley-dev",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_SECRET_ACCESS_KEY": "none",
    "PARLEY_ALLOWED_HOSTS": ".amazonaws.com",
    "PARLEY_LOG_LEVEL": "ERROR",
    "PARLEY_SECRET_KEY": "x" * 50,
    "PARLEY_STAGE": "dev",
    "POWERTOOLS_LOG_LEVEL": "ERROR",
    **{f"PARLEY_{field.name.upper()}": "none" for field in fields(Stack) if field.name not in OWN},
}


def measure(folder: Path, module: str, runs: int) -> list[float]:
    """Seconds of load, first and warm answer: the smallest of all runs."""
    found = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", PROBE, folder, module, json.dumps(EVENT)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{module} of {folder} failed:\n{done.stderr[-2000:]}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return [min(times) for times in zip(*found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-cold-") as name:
        with zipfile.ZipFile(options.package) as package:
            package.extractall(name)
        load, first, warm = measure(Path(name), "config.lambda_handler", options.runs)
    print("| load | first answer | cold start (both) | warm answer |\n|---:|---:|---:|---:|")
    print(
        f"| {load * 1000:.0f} ms | {first * 1000:.1f} ms "
        f"| {(load + first) * 1000:.0f} ms | {warm * 1000:.2f} ms |"
    )


if __name__ == "__main__":
    main()

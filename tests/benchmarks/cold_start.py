"""Measures how fast a Lambda package starts and answers, beside simpler alternatives.

usage: python tests/benchmarks/cold_start.py PACKAGE.zip [--runs 9]

Each candidate is a folder as Lambda would unpack it, compiled ahead like our own package, run by
`python -I -S` (nothing but the folder and the standard library). All make a DynamoDB client and
answer the same request of API Gateway. Times are of the processor, not of the clock, so that a
busy machine does not blur them; the smallest of all runs counts. `uv` must be on the PATH or in
`.uv/bin`.
"""

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import fields
from pathlib import Path
from py_compile import PycInvalidationMode

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

PEERS = {
    "bare boto3 handler": (
        ["boto3"],
        """
import json, boto3
client = boto3.client("dynamodb")

def lambda_handler(event, context):
    return {"statusCode": 200, "body": json.dumps({"status": "ok"})}
""",
    ),
    "FastAPI + Mangum": (
        ["fastapi", "mangum", "boto3"],
        """
import boto3
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

client = boto3.client("dynamodb")
app = FastAPI()

class Health(BaseModel):
    status: str

@app.get("/health")
def health() -> Health:
    return Health(status="ok")

lambda_handler = Mangum(app, lifespan="off")
""",
    ),
    "Powertools with validation": (
        ["aws-lambda-powertools[parser]", "aws-xray-sdk", "boto3"],
        """
import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import BaseModel

client = boto3.client("dynamodb")
logger = Logger(service="peer")
app = APIGatewayRestResolver(enable_validation=True)

class Health(BaseModel):
    status: str

@app.get("/health")
def health() -> Health:
    return Health(status="ok")

def lambda_handler(event, context):
    return app.resolve(event, context)
""",
    ),
}
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


def install(folder: Path, libraries: list[str], source: str) -> None:
    """A peer's package."""
    uv = shutil.which("uv", path=f"{ROOT / '.uv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    options = ["--quiet", "--python", sys.executable, "--target", folder]
    subprocess.run([uv, "pip", "install", *options, *libraries], check=True)
    (folder / "peer.py").write_text(source)
    compile_ahead(folder)


def compile_ahead(folder: Path) -> None:
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--alone", action="store_true", help="our package only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-cold-") as name:
        folder = Path(name)
        with zipfile.ZipFile(options.package) as package:
            package.extractall(folder / "parley")
        found = {"Parley": measure(folder / "parley", "config.lambda_handler", options.runs)}
        for number, (peer, (libraries, source)) in enumerate(PEERS.items()):
            if not options.alone:
                install(folder / str(number), libraries, source)
                found[peer] = measure(folder / str(number), "peer", options.runs)
    base = found.get("bare boto3 handler", found["Parley"])
    print("| package | load | first answer | cold start (both) | ratio | warm answer |")
    print("|---|---:|---:|---:|---:|---:|")
    for peer, (load, first, warm) in found.items():
        ratio = (load + first) / (base[0] + base[1])
        print(
            f"| {peer} | {load * 1000:.0f} ms | {first * 1000:.1f} ms "
            f"| {(load + first) * 1000:.0f} ms | {ratio:.2f} | {warm * 1000:.2f} ms |"
        )


if __name__ == "__main__":
    main()

"""Compares the cost of our own DynamoDB client with botocore's, over TLS.

usage: python tests/benchmarks/client.py [--runs 9] [--calls 200]

Both are measured through PynamoDB's connection as the service makes it, each run in a process of
its own, in turn. Botocore is the one of the package: its descriptions reduced, its modules
compiled; it trusts its own bundle, and our client Amazon's five roots. The server is another
process. Times are of the processor, not of the clock, so that a busy machine does not blur them;
the median of all runs counts.
"""

import argparse
import compileall
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import botocore  # noqa: E402

from config.https import AMAZON_ROOTS  # noqa: E402
from config.ops.pruning import reduce_botocore  # noqa: E402
from config.stack import Stack  # noqa: E402
from tests.aws_server import Request, says, serving  # noqa: E402

BOTOCORE = Path(botocore.__file__).parent
BUNDLES = {"botocore": BOTOCORE / "cacert.pem", "own": AMAZON_ROOTS}
OWN = {"region", "endpoint_url"}
WARM = ("get_item", "query of 20", "transact of 3")

PROBE = """
import json, time
clock = time.process_time
begun = clock()
from config.store.connection import connection
table = connection()
pk, sk = "LEARNER#ana", "CARD#1"

def get():
    assert table.get_item(pk, range_key=sk, consistent_read=True)["Item"]

def query():
    assert len(table.query(pk, consistent_read=True)["Items"]) == 20

def transact():
    put = {"Put": {"TableName": table.table_name, "Item": {"pk": {"S": pk}, "sk": {"S": sk}}}}
    table.connection.dispatch("TransactWriteItems", {"TransactItems": [put] * 3})

get()
found = [clock() - begun]
for call in (get, query, transact):
    for _ in range(20):
        call()
    begun = clock()
    for _ in range(CALLS):
        call()
    found.append((clock() - begun) / CALLS)
getattr(table.connection.client, "close", lambda: None)()
print(json.dumps(found))
"""


def card(number: int) -> dict[str, Any]:
    """An item as the table has them."""
    texts = {
        "pk": "LEARNER#0f8fad5b-d9cb-469f-a165-70867728950e",
        "sk": f"CARD#01JD{number:022}",
        "kind": "CARD",
        "id": f"01JD{number:022}",
        "deck_id": "01JDDECK000000000000000000",
        "note_id": f"01JDN{number:021}",
        "front": "a saudade de quem parte é a saudade de quem fica",
        "back": "the longing of who leaves is the longing of who stays",
        "state": "review",
        "due_at": "2026-12-01T08:30:00.000000Z",
        "last_review_at": "2026-11-20T08:30:00.000000Z",
        "created_at": "2026-01-02T08:30:00.000000Z",
        "updated_at": "2026-11-20T08:30:00.000000Z",
        "lsi1": "DECK#01JDDECK000000000000000000#2026-12-01",
        "lsi2": "2026-12-01T08:30:00.000000Z",
    }
    numbers = {"stability": "17.25", "difficulty": "5.31", "reps": "9", "lapses": "1", "version": 9}
    lists = {"tags": {"L": [{"S": "saudade"}, {"S": "B1"}]}, "suspended": {"BOOL": False}}
    found: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
    return found | {name: {"N": str(value)} for name, value in numbers.items()} | lists


ANSWERS = {
    "GetItem": {"Item": card(0)},
    "Query": {"Items": [card(n) for n in range(20)], "Count": 20, "ScannedCount": 20},
    "TransactWriteItems": {"ConsumedCapacity": [{"TableName": "none", "CapacityUnits": 12.0}]},
}


def answer(request: Request, connection: socket.socket) -> bool:
    return says(200, ANSWERS[request.operation])(request, connection)


def measure(client: str, url: str, libraries: Path, bundle: Path, calls: int) -> list[float]:
    """Seconds of a start, and of each warm call."""
    environment = {f"PARLEY_{field.name.upper()}": "none" for field in fields(Stack)} | {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_SESSION_TOKEN": "none",
        "AWS_CA_BUNDLE": str(bundle),
        "PARLEY_AWS_CLIENT": client,
        "PARLEY_ENDPOINT_URL": url,
        "PARLEY_REGION": "eu-central-1",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{libraries}{os.pathsep}{ROOT}",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE.replace("CALLS", str(calls))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{client} failed:\n{done.stderr[-2000:]}")
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="parley-client-") as name,
        serving(Path(name)) as server,
    ):
        server.always = answer
        libraries = Path(name) / "libraries"
        shutil.copytree(BOTOCORE, libraries / "botocore")
        reduce_botocore(libraries / "botocore" / "data")
        compileall.compile_dir(libraries, quiet=2)
        bundles = {}
        for client, roots in BUNDLES.items():
            bundles[client] = Path(name) / f"{client}.pem"
            bundles[client].write_text(roots.read_text() + server.trust.read_text())
        found: dict[str, list[list[float]]] = {client: [] for client in BUNDLES}
        for _ in range(options.runs):
            for client, bundle in bundles.items():
                found[client].append(measure(client, server.url, libraries, bundle, options.calls))
                server.seen.clear()
    print("| | botocore | own client | ratio |")
    print("|---|---:|---:|---:|")
    rows = ("cold: import, client, first call", *WARM)
    measured = (zip(*found[client], strict=True) for client in ("botocore", "own"))
    for row, theirs, ours in zip(rows, *measured, strict=True):
        ratio = statistics.median(b / a for a, b in zip(theirs, ours, strict=True))
        cells = (f"{statistics.median(times) * 1000:.2f} ms" for times in (theirs, ours))
        print(f"| {row} | {' | '.join(cells)} | {ratio:.2f} |")


if __name__ == "__main__":
    main()

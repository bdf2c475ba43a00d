"""Compares the service with peers that do the same work, and measures how its cost grows.

    python -m tests.benchmarks.bench                     every part, in a quarter of an hour
    python -m tests.benchmarks.bench start --rounds 7    one or more of them (see --help)
    python -m tests.benchmarks.bench --write             puts the tables into docs/performance.md

The service is the package of `make package`; the peers (`tests/benchmarks/peers/`) are installed
and compiled ahead alike. Each candidate is a process of its own by `python -I -S`. They start in
turn, and answer in turn, a few requests of a kind each, so that what else the machine does meets
all of them. All verify the same token and call one server over TLS, which answers from a table at
once, each from its own copy. Times are of the processor. A ratio is the median of the ratios
within each turn. `start` runs on Python 3.11 and 3.13, all other parts on the Python of .venv.
"""

import argparse
import compileall
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from py_compile import PycInvalidationMode
from random import Random
from typing import Any
from uuid import UUID

import django

from config.stack import BASE_DIR, Stack

ENVIRONMENT = dict(os.environ)  # as other benchmarks begin: Django adds to it
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PEERS = BASE_DIR / "tests" / "benchmarks" / "peers"
DOCUMENT = BASE_DIR / "docs" / "performance.md"
PICTURE = BASE_DIR / "docs" / "growth.svg"
JWT = ("pyjwt[crypto]==2.10.1", "fsrs==6.3.2", "boto3~=1.43")
LIBRARIES = {
    "boto3_handler": JWT,
    "fastapi_app": (*JWT, "fastapi~=0.115", "mangum~=0.19", "pynamodb~=6.1"),
    "powertools_app": (*JWT, "aws-lambda-powertools[parser]~=3.0"),
}
BARE = "bare boto3"
NAMES = {BARE: "boto3_handler", "FastAPI": "fastapi_app", "Powertools": "powertools_app"}
OURS = "Parley"
TABLE, CARDS, DUE = "table_name-of-tests", 60, 20
IN_A_ROW = 5  # requests of a kind, until it is another candidate's turn
CREDENTIALS = {"email": "ana@example.org", "password": "corvo-azul-7"}
EVENT = json.loads((BASE_DIR / "tests" / "events" / "rest_proxy.json").read_text())
OWN = {"region", "endpoint_url"}  # Lambda itself says where

# Request → the most that ours may cost, as a ratio to the bare handler's.
GOALS = {
    "card": 1.0,
    "due": 0.9,
    "list": 1.0,
    "profile": 1.2,
    "review": 1.0,
    "login": 1.2,
}
COLD_GOAL = 1.2
GROWING, GROWTH_GOAL = ("card", "due", "list", "review"), 1.5
FEATURES_GOAL = 1.03
# A stage with all that is off by default, and what of it study must not load.
FEATURES = {"PARLEY_VOICE": "aws", "PARLEY_PARTNER": "bedrock", "PARLEY_PARTNER_MODEL": "none"}
OF_FEATURES = (
    *("learning.media_types", "learning.voices", "learning.practice.prompt"),
    *(f"learning.api.{name}" for name in ("dictionary", "media", "recordings", "speech")),
    *(f"learning.services.{name}" for name in ("dictionary", "media", "partner", "recordings")),
    *("learning.services.speech", "learning.practice.entry", "learning.practice.verdict"),
)
VERSIONS = ("3.11", "3.13")
DUE_BESIDE_FASTAPI = 0.8
STUDY_GOAL = 2
BILL_GOALS, IDLE_GOALS = {1: 0.030, 3: 0.032}, {1: 2, 3: 4}

PROBE = """
import itertools, json, os, sys, time
from datetime import UTC, datetime
from uuid import uuid4
folder, name, events, cards, told = sys.argv[1:]
sys.path.insert(0, folder)
events, cards = json.loads(events), itertools.cycle(json.loads(cards))
told = os.fdopen(int(told), "w", buffering=1)
clock = time.process_time

def tell(found):
    told.write(json.dumps(found) + "\\n")

def call(event):
    if "CARD-HERE" in event["path"]:  # another card each time, as learners do
        path, at = event["path"].replace("CARD-HERE", next(cards)), datetime.now(UTC).isoformat()
        body = event["body"].replace("ID-HERE", str(uuid4())).replace("AT-HERE", at)
        context = {**event["requestContext"], "path": "/dev" + path}
        event = {**event, "path": path, "body": body, "requestContext": context}
    answer = module.lambda_handler(event, None)
    assert answer["statusCode"] in (200, 201), answer

begun = clock()
module = __import__(name, fromlist=["lambda_handler"])
loaded = clock()
call(events["card"])
tell({"load": loaded - begun, "cold": clock() - begun})
for line in sys.stdin:
    what, times = line.split()
    begun = clock()
    for _ in range(int(times)):
        call(events[what])
    tell((clock() - begun) / int(times))
tell([*sys.modules])
"""


@dataclass
class Verdict:
    """A goal with its measured figure and the verdict."""

    what: str
    goal: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return (
            f"| {self.what} | {self.goal} | {self.measured} | {'met' if self.met else '**not**'} |"
        )


# Of each request, for each candidate that answered in this turn: seconds of the processor.
Turns = dict[str, list[dict[str, float]]]

VERDICTS = "| | goal | measured | verdict |\n|---|---:|---:|---|"


# --- The store that all read ----------------------------------------------------------------------


@dataclass(frozen=True)
class Learner:
    """A learner with cards, of which twenty are due."""

    token: str
    card_ids: list[str]

    def event(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A request as API Gateway gives it to a function."""
        headers = {**EVENT["headers"], "Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        context = EVENT["requestContext"]
        return {
            **EVENT,
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "requestContext": {**context, "httpMethod": method, "path": f"/dev{path}"},
            "body": None if body is None else json.dumps(body),
        }

    def events(self) -> dict[str, dict[str, Any]]:
        review = {
            "id": "ID-HERE",
            "rating": "good",
            "reviewedAt": "AT-HERE",
            "durationMs": 4200,
        }
        return {
            "card": self.event("GET", f"/flashcards/{self.card_ids[0]}"),
            "due": self.event("GET", "/flashcards/due"),
            "list": self.event("GET", "/flashcards"),
            "profile": self.event("GET", "/profile"),
            "review": self.event("POST", "/flashcards/CARD-HERE/reviews", review),
            "login": self.event("POST", "/auth/login", CREDENTIALS),
        }


@dataclass(frozen=True)
class World:
    """Learners by their number of cards, and the server that answers in place of AWS."""

    table: Any
    trust: Path
    whole: Callable[[], None]
    learners: Mapping[int, Learner]
    environment: Mapping[str, str]

    def copy(self) -> Any:
        """The items of the table as they were made."""
        self.table.clear()
        self.whole()
        return self.table.items


@contextmanager
def world(folder: Path, *sizes: int) -> Iterator[World]:
    """A learner for each number of cards, behind a server over TLS."""
    logging.disable(logging.INFO)
    from django.test.utils import setup_test_environment, teardown_test_environment

    from tests.aws_server import Request, serving
    from tests.callers import access_token, make_learner, public_keys
    from tests.memory_table import MemoryTable
    from tests.servers import using
    from tests.wire import table_client

    names = {field.name: f"{field.name}-of-tests" for field in fields(Stack)}
    names |= {"region": "eu-central-1", "endpoint_url": None}
    memory = MemoryTable(TABLE)
    setup_test_environment()
    try:
        with using(Stack(**names)) as stack, memory.answering(table_client()):
            learners = {}
            for size in sizes or (CARDS,):
                ana = make_learner("ana", timezone="Europe/Lisbon")
                learners[size] = Learner(ana.token, _collection(ana, size))
            signed_in = _signed_in(access_token(ana.id, origin_jti="6f1d"))
            with serving(folder) as server:

                def answer(request: Request, connection: Any) -> bool:
                    from tests.aws_server import http

                    target = request.headers.get("x-amz-target")
                    if target is None:  # the pool's public keys
                        connection.sendall(http(200, json.dumps(public_keys()).encode()))
                        return True
                    if target.endswith(".AdminInitiateAuth"):
                        connection.sendall(http(200, signed_in))
                        return True
                    sent = {"X-Amz-Target": target}
                    found = memory.send(request.body, sent)
                    connection.sendall(http(found.status, found.body))
                    server.seen.clear()
                    memory.done.clear()
                    return True

                server.always = answer
                environment = _environment(names, server.url, stack.issuer)
                yield World(memory, server.trust, memory.remember(), learners, environment)
    finally:
        teardown_test_environment()
        logging.disable(logging.NOTSET)


def _signed_in(token: str) -> bytes:
    """Cognito's answer to a right password."""
    tokens = {"AccessToken": token, "IdToken": token, "RefreshToken": "r" * 1000}
    result = {**tokens, "ExpiresIn": 3600, "TokenType": "Bearer"}
    return json.dumps({"AuthenticationResult": result, "ChallengeParameters": {}}).encode()


def _collection(ana: Any, cards: int) -> list[str]:
    """Cards with some weeks of reviews behind them; the first ones are due. Their ids, in order."""
    random = Random(7)  # noqa: S311 - the same collection each time
    deck = ana.makes("/decks", {"name": "Português"})["id"]
    ids = sorted(str(UUID(int=random.getrandbits(128), version=4)) for _ in range(cards))
    for begin in range(0, cards, 500):
        new = [
            {
                "id": card_id,
                "deckId": deck,
                "front": f"a saudade de quem parte {number}",
                "back": "the longing of who leaves is the longing of who stays",
                "example": "A saudade é de quem fica.",
            }
            for number, card_id in enumerate(ids[begin : begin + 500])
        ]
        assert ana.post("/flashcards/bulk", {"cards": new}).status_code == 200
    now = datetime.now(UTC)
    for card_id in ids[:DUE]:
        review = {
            "id": str(UUID(int=random.getrandbits(128), version=4)),
            "rating": "easy",
            "reviewedAt": (now - timedelta(days=40)).isoformat(),
        }
        assert ana.post(f"/flashcards/{card_id}/reviews", review).status_code == 201
    scheduler = {"newCardsPerDay": 0}
    assert ana.patch("/scheduler", scheduler).status_code == 200
    return ids


def _environment(names: Mapping[str, Any], url: str, issuer: str) -> dict[str, str]:
    """What a deployed function is given, with our server in place of AWS."""
    ours = {f"PARLEY_{name.upper()}": value for name, value in names.items() if name not in OWN}
    return ours | {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_LAMBDA_FUNCTION_NAME": "parley-dev",
        "AWS_REGION": "eu-central-1",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_SESSION_TOKEN": "none",
        "PARLEY_ALLOWED_HOSTS": ".amazonaws.com",
        "PARLEY_AWS_CLIENT": "own",
        "PARLEY_CLIENT_SECRET": "none",
        "PARLEY_SECRET_KEY": "x" * 50,
        "PARLEY_STAGE": "dev",
        "PARLEY_THROTTLE": "1000000/1000000",
        "PEER_ISSUER": issuer,
        "PEER_JWKS_URL": f"{url}/pool/.well-known/jwks.json",
    }


# --- The candidates -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """An unpacked package and the module with its handler."""

    folder: Path
    module: str
    environment: Mapping[str, str]

    @contextmanager
    def running(self, python: str, learner: Learner) -> Iterator["Running"]:
        """Its process, which has started and answered its first card."""
        events, card_ids = json.dumps(learner.events()), json.dumps(learner.card_ids[:500])
        hears, tells = os.pipe()
        arguments = [self.folder, self.module, events, card_ids, str(tells)]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [python, "-I", "-S", "-c", PROBE, *arguments],
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                pass_fds=[tells],
                text=True,
            )
            os.close(tells)
            with process, os.fdopen(hears) as heard:
                running = Running(self.module, process.stdin, heard, said)
                running.start.update(running.hear())
                yield running
                running.stdin.close()
                running.modules.update(running.hear())


@dataclass
class Running:
    """A candidate's process, which answers when it is asked to."""

    module: str
    stdin: Any
    heard: Any
    said: Any
    start: dict[str, float] = field(default_factory=dict)  # seconds of the processor
    modules: set[str] = field(default_factory=set)  # at its end

    def ask(self, what: str, times: int) -> float:
        """Seconds of the processor for one such request."""
        self.stdin.write(f"{what} {times}\n")
        self.stdin.flush()
        return float(self.hear())

    def hear(self) -> Any:
        line = self.heard.readline()
        if not line:
            self.said.seek(0)
            sys.exit(f"{self.module} failed:\n{self.said.read()[-3000:].decode(errors='replace')}")
        return json.loads(line)


def in_turn(
    known: Mapping[str, tuple[Candidate, Learner]],
    python: str,
    made: World,
    requests: Iterable[str],
    *,
    rounds: int,
    times: int,
) -> tuple[Turns, dict[str, set[str]]]:
    """Starts all candidates in each round, and asks them in turn.

    Returns the times, and the modules that each has loaded at the end. Each has a table of its own.
    """
    turns: Turns = defaultdict(list)
    modules: dict[str, set[str]] = {}
    names = [*known]
    for number in range(rounds):
        first = number % len(names)
        order = names[first:] + names[:first]
        tables = {who: made.copy() for who in order}
        started: dict[str, Running] = {}
        with ExitStack() as processes:
            for who in order:
                made.table.items = tables[who]
                candidate, learner = known[who]
                started[who] = processes.enter_context(candidate.running(python, learner))
            for what in ("load", "cold"):
                turns[what].append({who: started[who].start[what] for who in order})
            for what in requests:
                _by_turns(turns[what], what, started, tables, made, times)
        modules = {who: one.modules for who, one in started.items()}
    return turns, modules


def _by_turns(
    turns: list[dict[str, float]],
    what: str,
    started: Mapping[str, Running],
    tables: Mapping[str, Any],
    made: World,
    times: int,
) -> None:
    """All answer requests of a kind in turns of five; what `times` has beyond them is left out."""
    order = [*started]
    for who in order:
        made.table.items = tables[who]
        started[who].ask(what, 3)
    for number in range(max(1, times // IN_A_ROW)):
        turns.append({})
        for who in reversed(order) if number % 2 else order:
            made.table.items = tables[who]
            turns[-1][who] = started[who].ask(what, min(times, IN_A_ROW))


def candidates(folder: Path, python: str, package: Path, made: World) -> dict[str, Candidate]:
    """Installs all candidates for one Python."""
    import botocore

    whole = Path(botocore.__file__).with_name("cacert.pem").read_text()
    ours = (BASE_DIR / "config" / "amazon-roots.pem").read_text()
    bundles = {}
    for name, roots in (("whole", whole), ("small", ours)):
        bundles[name] = folder / f"{name}.pem"
        bundles[name].write_text(roots + made.trust.read_text())
    peers = {"AWS_CA_BUNDLE": str(bundles["whole"]), "SSL_CERT_FILE": str(bundles["whole"])}
    with zipfile.ZipFile(package) as content:
        content.extractall(folder / "parley")
    found = {
        OURS: Candidate(
            folder / "parley",
            "config.lambda_handler",
            {**made.environment, "AWS_CA_BUNDLE": str(bundles["small"])},
        )
    }
    for name, module in NAMES.items():
        into = folder / module
        _install(into, LIBRARIES[module], python)
        for source in PEERS.glob("*.py"):
            (into / source.name).write_text(source.read_text())
        _compiled(into, python)
        found[name] = Candidate(into, module, {**made.environment, **peers})
    return found


def _uv() -> str:
    ours = BASE_DIR / ".uv" / "bin" / "uv"
    return str(ours) if ours.exists() else "uv"


def _install(into: Path, libraries: tuple[str, ...], python: str) -> None:
    options = ["--quiet", "--python", python, "--link-mode", "copy", "--target", into]
    subprocess.run([_uv(), "pip", "install", *options, *libraries], check=True)


def _compiled(folder: Path, python: str) -> None:
    """Compiles ahead, as our own package is."""
    if Path(python).resolve() == Path(sys.executable).resolve():
        mode = PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=mode)
        return
    flags = ["-q", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", *flags, folder], check=False)


def interpreter(version: str | None) -> str:
    """The path of a Python; uv fetches it where there is none. None is our own."""
    if version is None or sys.version.startswith(f"{version}."):
        return sys.executable
    find = [_uv(), "python", "find", version]
    if subprocess.run(find, capture_output=True, check=False).returncode:
        subprocess.run([_uv(), "python", "install", "--quiet", version], check=True)
    return subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()


def package_for(version: str | None) -> Path:
    """Our package for a Python on this machine."""
    from config.ops.package import Target, build

    here = Target.here()
    target = here if version is None else Target(version, here.architecture, None)
    into = BASE_DIR / "build" / f"bench-{target.python}"
    return build("dev", target=target, into=into).zip


# --- The parts ------------------------------------------------------------------------------------


def start(options: argparse.Namespace, report: "Report") -> None:
    """Cold and warm requests, beside the peers, for each Python."""
    for version in options.python or VERSIONS:
        _beside_peers(version, options, report)


def _beside_peers(version: str | None, options: argparse.Namespace, report: "Report") -> None:
    python, package = interpreter(version), package_for(version)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name, world(Path(name)) as made:
        known = candidates(Path(name), python, package, made)
        learner = made.learners[CARDS]
        asked = {who: (candidate, learner) for who, candidate in known.items()}
        turns, _ = in_turn(asked, python, made, GOALS, rounds=options.rounds, times=options.times)
    label = version or f"{sys.version_info.major}.{sys.version_info.minor}"
    report.table(f"start-{label}", _comparison(label, [*known], turns))
    for verdict in _verdicts(label, turns):
        report.verdict(verdict)
    size = package.stat().st_size / 2**20
    with zipfile.ZipFile(package) as content:
        unpacked = sum(entry.file_size for entry in content.infolist()) / 2**20
    report.verdict(
        Verdict(
            f"Python {label}: package, MiB zipped / unpacked",
            "≤ 16 / ≤ 45",
            f"{size:.1f} / {unpacked:.1f}",
            size <= 16 and unpacked <= 45,
        )
    )


def ratio(turns: list[dict[str, float]], who: str, base: str = BARE) -> float:
    """The median of the ratios within each turn."""
    return statistics.median(turn[who] / turn[base] for turn in turns)


def _comparison(label: str, known: list[str], turns: Turns) -> str:
    rows = {"load": "load", "cold": "load and first card", "card": "a card",
            "due": "due queue of 20", "list": "list of 50", "profile": "profile",
            "review": "a review", "login": "a login"}  # fmt: skip
    order = [BARE, *(who for who in known if who not in (BARE, OURS)), OURS]
    lines = [f"| Python {label}, × the bare handler | {' | '.join(order)} |",
             f"|---|{'---:|' * len(order)}"]  # fmt: skip
    for what, said in rows.items():
        base = statistics.median(turn[BARE] for turn in turns[what]) * 1000
        cells = [f"{base:.{0 if what in ('load', 'cold') else 2}f} ms"]
        cells += [f"{ratio(turns[what], who):.2f}" for who in order[1:]]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdicts(label: str, turns: Turns) -> Iterator[Verdict]:
    for what, most in {"cold": COLD_GOAL, **GOALS}.items():
        measured = ratio(turns[what], OURS)
        yield Verdict(f"Python {label}: {what} × bare boto3", f"≤ {most}", f"{measured:.2f}",
                      measured <= most)  # fmt: skip
    beside = ratio(turns["due"], OURS, "FastAPI")
    yield Verdict(f"Python {label}: due × FastAPI", f"≤ {DUE_BESIDE_FASTAPI}", f"{beside:.2f}",
                  beside <= DUE_BESIDE_FASTAPI)  # fmt: skip


def _output(*command: str) -> str:
    """What another benchmark prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=BASE_DIR,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2500:]}")
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))


def features(options: argparse.Namespace, report: "Report") -> None:
    """A stage with voice, words and a model beside one without: study must cost the same."""
    package = options.package or package_for(None)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name, world(Path(name)) as made:
        without, learner = candidate_alone(Path(name), package, made), made.learners[CARDS]
        known = {
            "without": (without, learner),
            "with": (replace(without, environment=without.environment | FEATURES), learner),
        }
        turns, modules = in_turn(
            known, sys.executable, made, GOALS, rounds=options.rounds, times=options.times
        )
    loaded = sorted(modules["with"] & {*OF_FEATURES})
    said = ", ".join(loaded) or "none"
    report.verdict(Verdict("Study: modules of voice, words, media", "none", said, not loaded))
    ratios = {what: ratio(found, "with", "without") for what, found in turns.items()}
    warm = statistics.median(ratios[what] for what in GOALS)
    for what, measured in (("load", ratios["load"]), ("cold", ratios["cold"]), ("warm", warm)):
        said, goal = f"{what}, with voice, words and a model × without", f"≤ {FEATURES_GOAL}"
        met = measured <= FEATURES_GOAL
        report.verdict(Verdict(said, goal, f"{measured:.2f}", met))


def _third(options: argparse.Namespace) -> int:
    """Rounds of what needs fewer, or takes longer."""
    return int((options.rounds + 2) // 3)


def client(options: argparse.Namespace, report: "Report") -> None:
    """Our client of the table beside botocore's."""
    runs = ["--runs", str(_third(options))]
    report.table("client", _output("tests/benchmarks/client.py", *runs))


def load(options: argparse.Namespace, report: "Report") -> None:
    """Logins, registrations and refreshes on the embedded AWS, and study beside an old commit."""
    report.table("load", _output("-m", "tests.load.accounts", "--requests", "160"))
    study = _output("-m", "tests.load.study", "--rounds", "5", "--seconds", "6")
    report.table("study", study)
    measured = study.splitlines()[-1].split("|")[-2].strip()
    what = "study by 8 clients, requests a second × the old commit's"
    report.verdict(Verdict(what, f"≥ {STUDY_GOAL}", measured, float(measured) >= STUDY_GOAL))


def growth(options: argparse.Namespace, report: "Report") -> None:
    """What a request costs by the size of the collection, a learner by their number, and how long
    due reminders take by theirs."""
    from tests.benchmarks import growth as drawn

    sizes, package = [100, 1_000, 10_000], package_for(None)
    with (
        tempfile.TemporaryDirectory(prefix="parley-growth-") as name,
        world(Path(name), *sizes) as made,
    ):
        ours = candidate_alone(Path(name), package, made)
        known = {str(size): (ours, made.learners[size]) for size in sizes}
        turns, _ = in_turn(
            known, sys.executable, made, GROWING, rounds=_third(options), times=options.times
        )
    requests = {
        what: [statistics.median(turn[str(size)] for turn in turns[what]) * 1000 for size in sizes]
        for what in GROWING
    }
    lines = [f"| processor ms of a request, by cards | {' | '.join(f'{s:,}' for s in sizes)} |",
             f"|---|{'---:|' * len(sizes)}"]  # fmt: skip
    lines += [
        f"| {what} | {' | '.join(f'{value:.2f}' for value in values)} |"
        for what, values in requests.items()
    ]
    report.table("growth", "\n".join([*lines, "", "![How the service grows](growth.svg)"]))
    for what in GROWING:
        measured = ratio(turns[what], str(sizes[-1]), str(sizes[0]))
        said, goal = f"{what}: 10,000 cards × 100 cards", f"≤ {GROWTH_GOAL}"
        report.verdict(Verdict(said, goal, f"{measured:.2f}", measured <= GROWTH_GOAL))
    report.picture = drawn.picture(sizes, requests)


def bill(options: argparse.Namespace, report: "Report") -> None:
    """What a learner costs in a month, and a stage that nobody uses."""
    from config.ops.management.commands import estimate_cost as costs

    at = costs.prices()
    for year, most in BILL_GOALS.items():
        rows = costs.down_to_the_bill(at, year)
        for what, how in (
            (costs.COUNTED, "all, by DynamoDB Local's counting"),
            (costs.BILLED, "what AWS would ask for"),
        ):
            row = f"USD a month and learner of {costs.SWITCHED:,}, year {year}: {how}"
            verdict = Verdict(row, f"≤ {most:.3f}", f"{rows[what]:.4f}", rows[what] <= most)
            report.verdict(verdict)
    for year, most in IDLE_GOALS.items():
        usd = costs.beyond_free(0, at, year)
        row = f"USD a month of a stage that nobody uses, year {year}"
        report.verdict(Verdict(row, f"≤ {most}", f"{usd:.2f}", usd <= most))


def candidate_alone(folder: Path, package: Path, made: World) -> Candidate:
    """Our package without peers."""
    bundle = folder / "small.pem"
    ours = (BASE_DIR / "config" / "amazon-roots.pem").read_text()
    bundle.write_text(ours + made.trust.read_text())
    with zipfile.ZipFile(package) as content:
        content.extractall(folder / "parley")
    environment = {**made.environment, "AWS_CA_BUNDLE": str(bundle)}
    return Candidate(folder / "parley", "config.lambda_handler", environment)


PARTS: dict[str, Callable[[argparse.Namespace, "Report"], None]] = {
    "start": start,
    "features": features,
    "client": client,
    "load": load,
    "growth": growth,
    "bill": bill,
}


class Report:
    """The tables, printed as they come, and written into the document."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        self.verdicts: list[Verdict] = []
        self.picture = ""

    def table(self, name: str, text: str) -> None:
        self.tables[name] = text
        print(f"\n{text}", flush=True)

    def verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)

    def summary(self) -> str:
        return "\n".join([VERDICTS, *map(str, self.verdicts)])

    def write(self, *, whole: bool) -> None:
        """Puts the tables between the marks of their names in docs/performance.md, and the picture.

        Unless the `whole` was measured, verdicts of the parts that were not stay.
        """
        text = DOCUMENT.read_text()
        rows = [] if whole else _rows_between(text, "verdicts")
        kept = {row.split("|")[1]: row for row in rows}
        kept |= {row.split("|")[1]: row for row in map(str, self.verdicts)}
        tables = self.tables | {"verdicts": "\n".join([VERDICTS, *kept.values()])}
        for name, table in tables.items():
            begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
            pattern = rf"{re.escape(begin)}.*?{re.escape(end)}"
            text, times = re.subn(
                pattern, lambda _, t=table, b=begin, e=end: f"{b}\n{t}\n{e}", text, flags=re.DOTALL
            )
            if not times:
                print(f"docs/performance.md has no place for {name}", file=sys.stderr)
        DOCUMENT.write_text(text)
        if self.picture:
            PICTURE.write_text(self.picture)


def _rows_between(text: str, name: str) -> list[str]:
    """The rows of a table of the document, without its head."""
    table = text.partition(f"<!-- bench {name} -->\n")[2].partition(f"<!-- end {name} -->")[0]
    return table.splitlines()[2:]


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="all, if none is named")
    parser.add_argument("--rounds", type=_positive, default=21)
    parser.add_argument(
        "--times", type=_positive, default=15, help="warm requests of a kind in each round"
    )
    parser.add_argument(
        "--python", action="append", help="a version (3.11 and 3.13 by default); again for one more"
    )
    parser.add_argument("--package", type=Path, help="of features, in place of a new one")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    django.setup()
    report = Report()
    for part in options.part or PARTS:
        PARTS[part](options, report)
    print(f"\n{report.summary()}")
    if options.write:
        report.write(whole=not options.part)


if __name__ == "__main__":
    main()

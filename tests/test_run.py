"""`manage.py runserver` as a stranger meets it: its output, its state, and its end."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import pytest
import requests

from config.ops import cloudformation, local_aws, model_stand_in
from config.ops.mails import mails
from config.ops.management.commands.runserver import partner_line
from config.ops.voice_stand_in import FRAME
from config.stack import BASE_DIR, Stack
from tests.waiting import PATIENCE_S, eventually

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("run")]


class Run:
    """A runserver of its own, on a free port unless one is named; its words go to a file."""

    def __init__(self, home: Path, said: Path, **environment: str) -> None:
        self.home = home
        self.said = said
        self.port = environment.get("PORT") or str(free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        with said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runserver"],
                cwd=BASE_DIR,
                env=bare_environment(home) | environment | {"PORT": self.port},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        eventually(lambda: "Parley is ready" in self.said.read_text() or self.ended())
        assert self.process.poll() is None, self.said.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def bare_environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARLEY_", "AWS_"))}
    return kept | {"PARLEY_HOME": str(home)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def later(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def is_engine_alive(home: Path) -> bool:
    with (home / "aws.engine").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def health(url: str) -> int | None:
    """The status that /health answers, None while nobody answers."""
    try:
        return requests.get(f"{url}/health", timeout=PATIENCE_S).status_code
    except requests.RequestException:
        return None


def manage(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(**environment: str) -> Run:
        runs.append(Run(home, tmp_path / f"said-{len(runs)}", **environment))
        return runs[-1]

    yield make
    for run in runs:
        if not run.ended():
            run.stop(signal.SIGTERM)


@dataclass(frozen=True)
class LivedIn:
    """Two runs over one state. `refused` wanted the port of the first one at the same moment, and
    `settings` is a file of the second one's. Also what the first one said until it was ready, and
    the title of a reminder that falls due."""

    first: Run
    second: Run
    refused: Run
    settings: Path
    said: str
    reminder: str


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedIn]:
    """One for all tests that ask a run and leave it running. Meanwhile the minute passes."""
    folder = tmp_path_factory.mktemp("lived-in")
    home, port, settings = folder / "home", str(free_port()), folder / "touched_settings.py"
    settings.write_text("from config.settings import *\n")
    own = {"DJANGO_SETTINGS_MODULE": settings.stem, "PYTHONPATH": str(folder)}
    rivals = [Run(home, folder / f"said-{n}", PORT=port) for n in range(2)]
    second = Run(home, folder / "said-2", **own)
    runs = [*rivals, second]
    try:
        eventually(lambda: any(run.ended() for run in rivals))
        [refused], [first] = ([r for r in rivals if r.ended() is ended] for ended in (True, False))
        first.wait_until_ready()
        eventually(lambda: "Demo admin" in first.said.read_text())
        said = first.said.read_text()
        second.wait_until_ready()
        yield LivedIn(first, second, refused, settings, said, remind(first))
    finally:
        for run in runs:
            if not run.ended():
                run.stop(signal.SIGTERM)


def remind(run: Run) -> str:
    """The title of a new reminder of the demo learner, which falls due in a moment."""
    account = {"email": "learner@parley.example", "password": "parley-demo-1"}
    login = requests.post(f"{run.url}/auth/login", json=account, timeout=PATIENCE_S)
    title, at = "Llamar a Inés", f"{later(10):%Y-%m-%dT%H:%M:%SZ}"
    made = requests.post(
        f"{run.url}/reminders",
        json={"kind": "once", "title": title, "at": at},
        headers={"Authorization": f"Bearer {login.json()['accessToken']}"},
        timeout=PATIENCE_S,
    )
    assert made.status_code == 201, made.text
    eventually(lambda: "POST /reminders" in run.said.read_text())
    return title


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def send_mail(home: Path, to: str, text: str) -> None:
    """A mail from the service, through the running engine of `home`."""
    with local_aws.running(home) as endpoint_url:
        outputs = cloudformation.apply_locally(home, endpoint_url)
        cloudformation.local_client("sesv2", endpoint_url).send_email(
            FromEmailAddress=outputs["MailFrom"],
            ConfigurationSetName=outputs["ConfigurationSet"],
            Destination={"ToAddresses": [to]},
            Content={
                "Simple": {
                    "Subject": {"Data": "Deine Karten für heute"},
                    "Body": {"Text": {"Data": text}},
                }
            },
        )


def test_it_says_once_that_it_is_ready_and_keeps_everything_ended_or_killed(
    start: Callable[..., Run], home: Path
) -> None:
    first = start()
    first.wait_until_ready()
    assert health(first.url) == 200
    send_mail(home, "Amara@example.org", "Your code is 482913.")
    assert first.stop(signal.SIGTERM) == 0
    output = first.said.read_text()
    assert output.count(f"Parley is ready at {first.url}\n") == output.count("ready at") == 1
    assert health(first.url) is None
    assert not is_engine_alive(home)

    second = start()
    second.wait_until_ready()
    assert "parley-local: nothing to change" in second.said.read_text()
    shown = manage(home, "outbox", "amara@example.org")
    assert "Subject: Deine Karten für heute" in shown.stdout
    send_mail(home, "amara@example.org", "Your code is 271828.")
    second.stop(signal.SIGKILL)
    eventually(lambda: health(second.url) is None)
    eventually(lambda: not is_engine_alive(home))
    with local_aws.running(home) as endpoint_url:
        found = mails(endpoint_url, to="amara@example.org")
    assert [mail.code for mail in found] == ["482913", "271828"]


def test_it_says_a_line_for_each_step_and_then_what_there_is(lived_in: LivedIn) -> None:
    run = lived_in.first
    steps, _, rest = lived_in.said.partition("Parley is ready at ")
    for line, words in zip(
        steps.splitlines(),
        [
            "Starting the embedded AWS",
            "Applying config/",
            "Loading demo content",
            "Starting Parley",
        ],
        strict=True,
    ):
        assert re.fullmatch(rf"{words}.* ….* \d+\.\d s", line)
    url, *there_is = rest.splitlines()
    assert url == run.url
    assert len(there_is) <= 7
    assert [line.split()[0] for line in there_is[:4]] == ["/app", "/docs", "/mails", "partner"]
    [real] = re.findall("PARLEY_LOCAL_MODEL_URL=.* make run", there_is[3])
    assert f"\n{real}\n" in (BASE_DIR / "README.md").read_text()
    accounts = [line.split() for line in there_is[4:]]
    assert [role for _, role, _, _ in accounts] == ["learner", "staff", "admin"]
    for _, _, email, password in accounts:
        account = {"email": email, "password": password}
        assert requests.post(f"{run.url}/auth/login", json=account, timeout=PATIENCE_S).ok


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"PARLEY_PARTNER_MODEL": model_stand_in.MODEL}, "a stand-in; a real model: PARLEY_LOCAL_"),
        ({"PARLEY_LOCAL_MODEL_URL": "http://x/v1", "PARLEY_PARTNER_MODEL": "m"}, "m at http://x/"),
        ({"PARLEY_LOCAL_MODEL_URL": "http://x/v1"}, "no model: name PARLEY_PARTNER_MODEL too"),
        ({"PARLEY_PARTNER": "bedrock", "PARLEY_PARTNER_MODEL": "m"}, "m on Amazon Bedrock"),
        ({"PARLEY_PARTNER": "scripted", "PARLEY_PARTNER_MODEL": "m"}, "the scripts alone"),
    ],
)
def test_it_says_who_the_partner_is(named: dict[str, str], words: str) -> None:
    assert partner_line(named).startswith(f"  partner  {words}")


def test_a_connection_serves_one_request_after_the_other(lived_in: LivedIn) -> None:
    with closing(
        HTTPConnection("127.0.0.1", lived_in.first.port, timeout=PATIENCE_S)
    ) as connection:
        connection.connect()
        kept = connection.sock
        for method, path, status in (
            *(("GET", "/health", 200), ("GET", "/docs", 200), ("HEAD", "/docs", 200)),
            *(("GET", "/static/docs/docs.js", 200), ("GET", "/nothing", 404)),
        ):
            connection.request(method, path)
            answer = connection.getresponse()
            assert answer.status == status
            sent = int(answer.headers["Content-Length"]) if method == "GET" else 0
            assert len(answer.read()) == sent
            assert connection.sock is kept


@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Content-Length: four"])
def test_a_body_of_unknown_length_is_not_taken_for_the_next_request(
    lived_in: LivedIn, length: str
) -> None:
    lines = "POST /decks HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", length
    with socket.create_connection(("127.0.0.1", int(lived_in.first.port)), PATIENCE_S) as sent:
        sent.sendall("\r\n".join((*lines, "", "4", "{}  ", "0", "", "")).encode())
        answer = b""
        with suppress(ConnectionResetError):  # what was not read of the body
            while part := sent.recv(4096):
                answer += part
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/") == 1


def test_its_request_lines_are_for_people_and_hold_no_secret(lived_in: LivedIn) -> None:
    run, before = lived_in.first, len(lived_in.first.said.read_text())
    secret = "c2VjcmV0" * 7
    for path in (f"/calendar/{secret}.ics", f"/unsubscribe/{secret}", f"/calender/{secret}"):
        assert requests.get(f"{run.url}{path}?code={secret}", timeout=PATIENCE_S).status_code >= 400
    account = {"email": "learner@parley.example", "password": "parley-demo-1"}
    assert requests.post(f"{run.url}/auth/login", json=account, timeout=PATIENCE_S).ok
    eventually(lambda: "/auth/login" in run.said.read_text()[before:])
    output = run.said.read_text()[before:]
    lines = [line for line in output.splitlines() if "Reminders:" not in line]
    at = r"\d\d:\d\d:\d\d"
    for line, words in zip(
        lines,
        [
            r"GET /calendar/…\.ics 4\d\d \d+ ms request [0-9A-Z]{26}",
            r"GET /unsubscribe/… 4\d\d \d+ ms request [0-9A-Z]{26}",
            r"GET /calender/… 404 \d+ ms request [0-9A-Z]{26}",
            r"POST /auth/login 200 \d+ ms",
        ],
        strict=True,
    ):
        assert re.fullmatch(f"{at} {words}", line)
    assert secret not in output
    assert account["password"] not in "".join(lines)


def test_the_readmes_walk_works_word_for_word_and_each_answer_has_its_line(
    start: Callable[..., Run], home: Path
) -> None:
    run = start()
    run.wait_until_ready()
    section = (BASE_DIR / "README.md").read_text().partition("## Walk through it")[2]
    walk = section.partition("```bash\n")[2].partition("```")[0]
    assert "API=http://127.0.0.1:8000\n" in walk
    assert "\nsleep 95\n" in walk  # for the minute's mails, which have a test of their own
    walk = walk.replace("http://127.0.0.1:8000", run.url).replace("\nsleep 95\n", "\n")
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", walk],
        cwd=BASE_DIR,
        env=bare_environment(home),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said, _, mail = done.stdout.partition("From:  ")
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert not any("code" in answer for answer in answers), "no problem document"
    fronts = [answer["front"] for answer in answers if "front" in answer]
    assert fronts == ["casa", "mesa", "janela", "casa azul"]
    [pictured] = [answer for answer in answers if answer.get("front") == "casa azul"]
    assert pictured["imageId"] in [answer["id"] for answer in answers if "sizeBytes" in answer]
    [spoken] = [answer for answer in answers if "voice" in answer]
    assert requests.get(spoken["url"], timeout=PATIENCE_S).content.startswith(FRAME)
    [word] = [answer for answer in answers if "translation" in answer]
    assert (word["translation"], word["cards"][0]["example"]) == ("bread", "Queria pão.")
    turns = [answer["turn"] for answer in answers if "turn" in answer]
    assert [(turn["answeredBy"], turn["goals"]) for turn in turns] == [
        ("model", ["drink"]),
        ("model", ["size", "price"]),
    ]
    [judged] = [answer for answer in answers if "scoredBy" in answer and answer["scores"]]
    assert (judged["scoredBy"], judged["scores"]["goals"]["value"]) == ("model", 75)
    times = [line for line in said.splitlines() if line and not line.startswith("{")]
    assert [datetime.fromisoformat(time).tzinfo for time in times] == [UTC] * 4
    assert answers[-1]["title"] == "Ligar à Inês"
    assert re.search(r"ana\d+@example\.org", mail)


def test_a_changed_file_reloads_the_service_and_not_its_aws(lived_in: LivedIn) -> None:
    run = lived_in.second
    engine = (run.home / "aws.json").read_text()
    edits = count(1)

    def reloaded() -> bool:
        """Edits once more if need be: the first look at all files may come after an edit."""
        edit = next(edits)
        edition = f"print('second edition', flush=True)  # {edit}"
        lived_in.settings.write_text(f"from config.settings import *\n{edition}\n")
        with suppress(AssertionError):
            eventually(lambda: "second edition" in run.said.read_text(), within_s=5 * edit)
            return True
        return False

    eventually(reloaded)
    eventually(lambda: health(run.url) == 200)
    assert (run.home / "aws.json").read_text() == engine
    assert run.said.read_text().count("Parley is ready") == 1


def test_two_runs_over_one_state_share_its_aws(lived_in: LivedIn) -> None:
    output = lived_in.first.said.read_text() + lived_in.second.said.read_text()
    assert len(re.findall("shared: it runs on 127.0.0.1:[0-9]+ already", output)) == 1


def test_a_taken_port_is_said_before_anything_starts(start: Callable[..., Run], home: Path) -> None:
    with taken_port() as port:
        run = start(PORT=str(port))
        assert run.process.wait(PATIENCE_S) == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in run.said.read_text()
    assert not (home / "aws").exists()


def test_of_two_that_start_at_once_on_a_port_one_says_that_it_is_taken_and_never_ready(
    lived_in: LivedIn,
) -> None:
    refused = lived_in.refused
    assert refused.process.returncode == 1
    assert f"port {refused.port} of 127.0.0.1 cannot be used" in refused.said.read_text()
    assert "Parley is ready" not in refused.said.read_text()
    assert (lived_in.first.port, health(lived_in.first.url)) == (refused.port, 200)


@pytest.mark.parametrize("port", ["0", "65536", "eight"])
def test_a_port_that_is_none_is_said(start: Callable[..., Run], port: str) -> None:
    run = start(PORT=port)
    assert run.process.wait(PATIENCE_S) == 1
    assert f"'{port}' is not a port" in run.said.read_text()


def test_damaged_state_is_named_and_left_as_it_is(start: Callable[..., Run], home: Path) -> None:
    (home / "aws").mkdir(parents=True)
    damaged = home / "aws" / "dynamodb.json"
    damaged.write_text('{"__ministack_format__": 2, "payl')
    run = start()
    assert run.process.wait(PATIENCE_S) == 1
    assert f"the saved state {damaged} is damaged" in run.said.read_text()
    assert damaged.read_text() == '{"__ministack_format__": 2, "payl'


def test_state_without_its_table_is_told_in_words(start: Callable[..., Run], home: Path) -> None:
    with local_aws.running(home) as endpoint_url:
        cloudformation.apply_locally(home, endpoint_url)
    (home / "aws" / "dynamodb.json").unlink()
    run = start()
    assert run.process.wait(PATIENCE_S) == 1
    output = run.said.read_text()
    assert f"the saved state in {home} is not whole" in output
    assert "Traceback" not in output
    assert not is_engine_alive(home)


def test_a_state_folder_that_is_a_file_is_told_in_words(
    start: Callable[..., Run], home: Path
) -> None:
    home.touch()
    run = start()
    assert run.process.wait(PATIENCE_S) == 1
    output = run.said.read_text()
    assert output == f"ImproperlyConfigured: the state folder {home} cannot be used: File exists\n"


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe"])
def test_a_damaged_secret_key_is_told_and_kept(
    start: Callable[..., Run], home: Path, damaged: bytes
) -> None:
    home.mkdir()
    key = home / "secret-key"
    key.write_bytes(damaged)
    run = start()
    assert run.process.wait(PATIENCE_S) == 1
    assert run.said.read_text().startswith(f"ImproperlyConfigured: {key} holds no key")
    assert key.read_bytes() == damaged


def test_a_command_without_a_run_is_told_in_words(home: Path) -> None:
    never = manage(home, "unsuppress", "ana@example.org")
    assert re.fullmatch(r"no value for [a-z_, ]+: run `make run` once\n", never.stderr), (
        never.stderr
    )
    values = dict.fromkeys(Stack.__dataclass_fields__, "none") | {"region": "eu-central-1"}
    values["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    home.mkdir(exist_ok=True)
    (home / "stack.json").write_text(json.dumps(values))
    for command in (["unsuppress", "ana@example.org"], ["send_due"]):
        ended = manage(home, *command)
        assert ended.stderr == "A service we depend on did not answer. Is `make run` up?\n"
        assert (never.returncode, ended.returncode) == (1, 1)
    staff = manage(home, "create_staff", "ana@example.org")
    assert staff.stderr.startswith("CommandError: A service we depend on did not answer. Repeat")


def test_an_interrupt_before_anything_has_started_ends_quietly(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    settings = tmp_path / "interrupted_settings.py"
    settings.write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"
    )
    run = start(DJANGO_SETTINGS_MODULE="interrupted_settings", PYTHONPATH=str(tmp_path))
    assert run.process.wait(PATIENCE_S) == 130
    assert run.said.read_text() == ""


def test_reminders_that_fall_due_are_mailed_each_minute_and_long_work_is_done(
    lived_in: LivedIn,
) -> None:
    """The last of the file, which waits for the minute and ends both runs."""
    first, second = lived_in.first, lived_in.second
    account = {"email": "learner@parley.example", "password": "parley-demo-1"}
    login = requests.post(f"{first.url}/auth/login", json=account, timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {login.json()['accessToken']}"}
    fit = f"{first.url}/scheduler/optimize"
    asked = requests.post(fit, headers=headers, timeout=PATIENCE_S)
    assert (asked.status_code, asked.json()["status"]) == (202, "running")

    def fitted() -> bool:
        found = requests.get(fit, headers=headers, timeout=PATIENCE_S).json()
        return bool(found["status"] == "tooFew")

    eventually(fitted)

    def found() -> list[str]:
        with local_aws.running(first.home) as endpoint_url:
            return [mail.text for mail in mails(endpoint_url) if mail.subject == lived_in.reminder]

    eventually(lambda: bool(found()))
    links = re.findall(r"http://\S+", found()[0])
    assert links
    for link in links:
        assert link.startswith((first.url, second.url))
        assert requests.get(link, timeout=PATIENCE_S).status_code == 200
    eventually(lambda: "sent 1" in first.said.read_text() + second.said.read_text())
    assert first.stop(signal.SIGTERM) == 0
    assert is_engine_alive(first.home), "the other run needs it"
    assert second.stop(signal.SIGINT) == 0
    assert not is_engine_alive(first.home)
    said = first.said.read_text() + second.said.read_text()
    assert len(re.findall(r"Reminders: .*\bsent 1\b", said)) == 1

"""Django's runserver, which starts its own AWS in local runs."""

import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command, get_commands
from django.core.management.commands import runserver
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from config import stack
from config.ops import cloudformation, local_aws, model_stand_in, voice_stand_in
from config.ops.steps import Steps
from config.problems import UpstreamFailed
from config.stack import BASE_DIR
from config.work import work_off

log = logging.getLogger("parley.work")

SWEEP = ["send_due", "--verbosity=0"]
ONLY_WARNINGS = {"PARLEY_LOG_LEVEL": "WARNING"}
# File descriptors that the first process hands down to its children.
LISTENING_FD, READY_FD = "PARLEY_LISTENING_FD", "PARLEY_READY_FD"
WAITING_CONNECTIONS = 128
WITHOUT_BODY = (204, 304)  # RFC 9110, 8.6
THERE_IS = """\
  /app     the reference app: study in the browser, online and offline
  /docs    the API's reference; /browse the pages for staff
  /mails   the mails that were sent (also: .venv/bin/python manage.py outbox)
"""
A_REAL_ONE = (
    "PARLEY_LOCAL_MODEL_URL=http://127.0.0.1:11434/v1 PARLEY_PARTNER_MODEL=qwen3:4b make run"
)


class Server(WSGIServer):
    """Serves on the socket that the parent process has opened."""

    def server_bind(self) -> None:
        self.socket.close()
        self.socket = socket.socket(fileno=os.dup(int(os.environ[LISTENING_FD])))
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def server_activate(self) -> None:
        """Does nothing: the socket listens already."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        RequestHandler(request, client_address, self)


class RequestHandler(WSGIRequestHandler):
    """Sends each part of an answer at once, where Nagle's algorithm would wait for the next."""

    disable_nagle_algorithm = True


class Application(WSGIHandler):
    """Adds the length of each answer, as API Gateway does. Without it a connection serves once.

    So it does after a body of unknown length: Django reads none of it, and the rest would be taken
    for the next request.
    """

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        response = super().get_response(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if "HTTP_TRANSFER_ENCODING" in request.META or not length.isdecimal():
            return response
        if isinstance(response, HttpResponse) and response.status_code not in WITHOUT_BODY:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response


class Command(runserver.Command):
    """`manage.py runserver` reloads on changes. SIGINT and SIGTERM end all that it started.

    The first process listens, keeps the embedded AWS, and has due reminders mailed each minute.
    Its child answers requests and does long work. A new child replaces it whenever a file changes;
    requests that come meanwhile wait.
    """

    help = "Run Parley on 127.0.0.1, in local runs with its embedded AWS and demo content."
    addr: str
    port: str
    use_ipv6: bool
    default_port = os.environ.get("PORT") or "8000"
    server_cls = Server

    def run(self, **options: Any) -> None:
        if os.environ.get(DJANGO_AUTORELOAD_ENV) == "true":
            _end_with_parent()
            super().run(**options)
            return
        # SIGINT too: a background job of a shell starts with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        self._steps = Steps(sys.stderr)
        with self._listening():
            if settings.STAGE == "local":
                self._with_aws(**options)
            else:
                self._serve("", **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        if not options["skip_checks"]:
            self.check()
        if settings.STAGE == "local":
            work_off_queues()
        super().inner_run(*args, **options | {"skip_checks": True})

    def get_handler(self, *_args: Any, **_options: Any) -> Application:
        return Application()

    def on_bind(self, server_port: int) -> None:
        """Tell the parent that the application is loaded."""
        os.write(int(os.environ[READY_FD]), b".")

    def _with_aws(self, **options: Any) -> None:
        home = stack.home()
        try:
            with ExitStack() as aws:
                with self._steps.step("Starting the embedded AWS"):
                    engine = local_aws.running(home, progress=self._steps.tell)
                    endpoint_url = aws.enter_context(engine)
                with self._steps.step("Applying config/ops/infrastructure.yaml"):
                    cloudformation.apply_locally(home, endpoint_url, progress=self._steps.tell)
                with local_aws.exclusive(home / "demo.lock"):
                    demo = self._demo_content()
                # Links in mails lead here. Our children read it in their settings.
                os.environ.setdefault("PARLEY_PUBLIC_URL", self._url)
                os.environ.update(aws.enter_context(partner_model(os.environ)))
                os.environ.update(aws.enter_context(voice(os.environ)))
                aws.enter_context(each_minute(SWEEP, self._steps.tell, environment=ONLY_WARNINGS))
                self._serve(demo, **options)
        except (local_aws.EngineError, cloudformation.ProvisioningError) as error:
            raise CommandError(str(error)) from error
        except (ClientError, UpstreamFailed) as error:  # e.g. a table or pool that is gone
            raise CommandError(
                f"the saved state in {home} is not whole ({error.__cause__ or error}). Restore it, "
                "or move the folder away to begin anew"
            ) from error

    def _demo_content(self) -> str:
        """Load the demo content. `load_demo` prints the accounts that it offers."""
        if "load_demo" not in get_commands():
            return ""
        accounts = io.StringIO()
        with self._steps.step("Loading demo content"):
            call_command("load_demo", stdout=accounts, stderr=_Told(self._steps))
        return accounts.getvalue()

    def _serve(self, demo: str, **options: Any) -> None:
        """Answer requests until a signal comes."""
        ready, told = os.pipe()
        os.set_inheritable(told, True)
        os.environ[READY_FD] = str(told)
        self._steps.begin("Starting Parley")
        threading.Thread(target=self._announce, args=[ready, demo], daemon=True).start()
        try:
            super().run(**options)
        finally:
            self._steps.give_up()
            self._steps.tell("Stopping")

    def _announce(self, ready: int, demo: str) -> None:
        """Tell once that requests are answered, as soon as the child says so."""
        os.read(ready, 1)
        self._steps.end()
        there_is = THERE_IS + partner_line(os.environ) if settings.STAGE == "local" else ""
        self.stdout.write(f"Parley is ready at {self._url}\n{there_is}{demo}".strip())
        self.stdout.flush()

    @property
    def _url(self) -> str:
        host = f"[{self.addr}]" if ":" in self.addr else self.addr
        return f"http://{host}:{self.port}"

    def _listening(self) -> socket.socket:
        """Listen all the time, so that no other process can take the port."""
        if not re.fullmatch(r"[1-9]\d{0,4}", self.port) or int(self.port) > 65535:
            raise CommandError(f"{self.port!r} is not a port (1 to 65535)")
        listening = socket.socket(socket.AF_INET6 if self.use_ipv6 else socket.AF_INET)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.addr, int(self.port)))
            listening.listen(WAITING_CONNECTIONS)
        except OSError as error:
            listening.close()
            raise CommandError(
                f"port {self.port} of {self.addr} cannot be used ({error.strerror}). "
                f"Choose another, e.g. PORT={int(self.port) % 65535 + 1}"
            ) from error
        listening.set_inheritable(True)
        os.environ[LISTENING_FD] = str(listening.fileno())
        return listening


@contextmanager
def voice(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables of the voice and the dictionary: a stand-in's, unless one is named."""
    if {"PARLEY_VOICE", "PARLEY_VOICE_URL"} & {*environment}:
        yield {}
        return
    with voice_stand_in.serving() as stand_in:
        yield {"PARLEY_VOICE": "aws", "PARLEY_VOICE_URL": stand_in.url}


@contextmanager
def partner_model(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables of the model that plays the partner: a stand-in's, unless one is named."""
    named = {"PARLEY_PARTNER", "PARLEY_PARTNER_MODEL", "PARLEY_LOCAL_MODEL_URL"} & {*environment}
    if named:
        yield {}
        return
    with model_stand_in.serving() as stand_in:
        yield {
            "PARLEY_PARTNER": "bedrock",
            "PARLEY_PARTNER_MODEL": model_stand_in.MODEL,
            "PARLEY_BEDROCK_URL": stand_in.url,
        }


def partner_line(environment: Mapping[str, str]) -> str:
    """The line of words that says who the partner of role plays is, and how to get another."""
    model = environment.get("PARLEY_PARTNER_MODEL", "")
    if model == model_stand_in.MODEL:
        who = f"a stand-in; a real model: {A_REAL_ONE}"
    elif url := environment.get("PARLEY_LOCAL_MODEL_URL"):
        who = f"{model} at {url}" if model else "no model: name PARLEY_PARTNER_MODEL too"
    elif environment.get("PARLEY_PARTNER") == "bedrock" and model:
        who = f"{model} on Amazon Bedrock"
    else:
        who = "the scripts alone"
    return f"  partner  {who}\n"


class _Told(io.TextIOBase):
    """A stream for a command. Its lines appear as the progress of a step."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def write(self, text: str) -> int:
        if line := text.strip():
            self._steps.tell(line)
        return len(text)


def _end_with_parent() -> None:
    """End this process soon after its parent, even if the parent was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# --- The clock of local runs, in place of EventBridge ---------------------------------------------


RUN_WITHIN_S = 55.0
"""What a run may take: it is over before the next minute's."""
STOP_WITHIN_S = 10.0


@contextmanager
def each_minute(
    command: Sequence[str], told: Callable[[str], object], *, environment: Mapping[str, str]
) -> Iterator[None]:
    """Runs a management command at the start of each minute, until the block ends.

    Each run is a process of its own. So it has the newest code, and its errors reach neither us nor
    the next run. `told` gets its output; its log goes to our own stderr. At the end, a run that
    has begun gets a few seconds to finish.
    """
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(60 - time.time() % 60):
            if output := _run(command, {**os.environ, **environment}, ended):
                told(output)

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()


def _run(command: Sequence[str], environment: Mapping[str, str], ended: threading.Event) -> str:
    """The output of a run, or a line saying that it took too long and was ended."""
    with subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
        [sys.executable, BASE_DIR / "manage.py", *command],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C must reach us alone: we wait for a run that has begun
    ) as process:
        deadline = time.monotonic() + RUN_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=0.2)[0].strip()
            if ended.is_set():
                deadline = min(deadline, time.monotonic() + STOP_WITHIN_S)
        process.kill()
        return f"manage.py {' '.join(command)} took too long and was ended"


# --- Long work of local runs, in place of the mappings of SQS -------------------------------------


WAIT_FOR_MESSAGES_S = 10


def work_off_queues() -> None:
    """Lets threads of this process do the long work that the queues ask for, until it ends.

    They die with the process, as a run of Lambda's may: what they have begun comes again.
    """
    threading.Thread(target=_work_off_all, daemon=True).start()


def _work_off_all() -> None:
    where = stack.stack()
    client = cloudformation.local_client("sqs", str(where.endpoint_url))
    prompt = [client, where.prompt_queue_url]
    threading.Thread(target=_work_off, args=prompt, daemon=True).start()
    _work_off(client, where.work_queue_url)


def _work_off(client: Any, queue_url: str) -> None:
    while True:
        try:
            received = client.receive_message(
                QueueUrl=queue_url,
                WaitTimeSeconds=WAIT_FOR_MESSAGES_S,
                AttributeNames=["ApproximateReceiveCount"],
            )
            for message in received.get("Messages", []):
                bring(message, client, queue_url)
        except (BotoCoreError, ClientError):  # the engine is gone, or the stack is made anew
            log.debug("a queue of the embedded AWS does not answer", exc_info=True)
            time.sleep(1)


def bring(message: Mapping[str, Any], client: Any, queue_url: str) -> None:
    """Brings a message to the service as Lambda does, and deletes it unless it failed."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
    }
    if not work_off({"Records": [record]}, None)["batchItemFailures"]:
        client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])

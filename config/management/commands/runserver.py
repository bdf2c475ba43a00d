"""Django's runserver, which in local runs brings its own AWS along."""

import io
import os
import re
import signal
import socket
import sys
import threading
import urllib.request
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.core.management.commands import runserver
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from config import embedded, provisioning, stack
from config.embedded.clock import each_minute
from config.problems import UpstreamFailed

SWEEP = ["send_due", "--verbosity=0"]
ONLY_WARNINGS = {"PARLEY_LOG_LEVEL": "WARNING"}


class Command(runserver.Command):
    """`manage.py runserver`: reloads on changes; ends all it started on SIGINT and SIGTERM.

    The process that is started keeps the embedded AWS and has the due reminders mailed each minute;
    the one that answers requests is its child and is replaced whenever a file changes.
    """

    help = "Run Parley on 127.0.0.1, in local runs with its embedded AWS and demo content."
    addr: str
    port: str
    use_ipv6: bool
    default_port = os.environ.get("PORT") or "8000"

    def run(self, **options: Any) -> None:
        if os.environ.get(DJANGO_AUTORELOAD_ENV) == "true":
            _end_with_parent()
            super().run(**options)
            return
        # SIGINT too: a shell's background job begins with it ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        self._refuse_taken_port()
        if settings.STAGE == "local":
            self._with_aws(**options)
        else:
            super().run(**options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        if not options["skip_checks"]:
            self.check()
        super().inner_run(*args, **options | {"skip_checks": True})

    def on_bind(self, server_port: int) -> None:
        """Say nothing: the first answered request is what counts."""

    def _with_aws(self, **options: Any) -> None:
        home = stack.home()
        try:
            with embedded.running(home, progress=self._tell) as endpoint_url:
                provisioning.apply_locally(home, endpoint_url, progress=self._tell)
                with embedded.exclusive(home / "demo.lock"):
                    demo = self._demo_content()
                ended = threading.Event()
                announcer = threading.Thread(target=self._announce, args=[demo, ended], daemon=True)
                announcer.start()
                # Links in mails lead here; our children read their settings from this.
                os.environ.setdefault("PARLEY_PUBLIC_URL", self._url)
                try:
                    with each_minute(SWEEP, self._tell, environment=ONLY_WARNINGS):
                        super().run(**options)
                finally:
                    ended.set()
                    self._tell("Stopping")
        except (embedded.EngineError, provisioning.ProvisioningError) as error:
            raise CommandError(str(error)) from error
        except (ClientError, UpstreamFailed) as error:  # e.g. a table or pool that is gone
            raise CommandError(
                f"the saved state in {home} is not whole ({error.__cause__ or error}). Restore it, "
                "or move the folder away to begin anew"
            ) from error

    def _demo_content(self) -> str:
        """Load the demo content; what `load_demo` prints are the accounts it offers."""
        if "load_demo" not in get_commands():
            return ""
        self._tell("Loading demo content")
        accounts = io.StringIO()
        call_command("load_demo", stdout=accounts, stderr=self.stderr)
        return accounts.getvalue().strip()

    @property
    def _url(self) -> str:
        host = f"[{self.addr}]" if ":" in self.addr else self.addr
        return f"http://{host}:{self.port}"

    def _announce(self, demo: str, ended: threading.Event) -> None:
        """Tell once that requests are answered."""
        url = self._url
        while not ended.wait(0.1):
            with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310
                self.stdout.write(f"Parley is ready at {url}\n{demo}".strip())
                self.stdout.flush()
                return

    def _refuse_taken_port(self) -> None:
        if not re.fullmatch(r"[1-9]\d{0,4}", self.port) or int(self.port) > 65535:
            raise CommandError(f"{self.port!r} is not a port (1 to 65535)")
        with socket.socket(socket.AF_INET6 if self.use_ipv6 else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.addr, int(self.port)))
            except OSError as error:
                raise CommandError(
                    f"port {self.port} of {self.addr} cannot be used ({error.strerror}). "
                    f"Choose another, e.g. PORT={int(self.port) % 65535 + 1}"
                ) from error

    def _tell(self, line: str) -> None:
        self.stderr.write(line, self.style.NOTICE)


def _end_with_parent() -> None:
    """End this process soon after the one that started it, even if that one was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

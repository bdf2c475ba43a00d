"""Shows the mails that a local run would have sent."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import stack
from config.ops import local_aws
from config.ops.mails import Mail, mails


class Command(BaseCommand):
    """`manage.py outbox`: the mails of the embedded AWS, the newest last."""

    help = "Show the mails that the embedded AWS holds, the newest last."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", nargs="?", help="only mails to this address")
        parser.add_argument("--last", action="store_true", help="only the newest one")
        parser.add_argument(
            "--code", action="store_true", help="only the newest verification code, for scripts"
        )

    def handle(self, *, address: str | None, last: bool, code: bool, **_: Any) -> None:
        mails = self._mails(address)
        if code:
            codes = [mail.code for mail in mails if mail.code]
            if not codes:
                raise CommandError("no mail with a code" + (f" to {address}" if address else ""))
            self.stdout.write(codes[-1])
            return
        for mail in mails[-1:] if last else mails:
            self.stdout.write(_shown(mail))
        if not mails:
            self.stderr.write("No mail" + (f" to {address}" if address else ""))

    def _mails(self, address: str | None) -> list[Mail]:
        home = stack.home()
        if not (home / "stack.json").exists():
            raise CommandError(f"nothing has run in {home} yet: start it with `make run`")
        try:
            with local_aws.running(home) as endpoint_url:
                return mails(endpoint_url, to=address)
        except (local_aws.EngineError, OSError) as error:
            raise CommandError(str(error)) from error


def _shown(mail: Mail) -> str:
    head = (
        f"From:    {mail.sender}\n"
        f"To:      {', '.join(mail.to)}\n"
        f"Date:    {mail.sent_at:%Y-%m-%d %H:%M:%S} UTC\n"
        f"Subject: {mail.subject}\n"
    )
    head += "".join(f"{name}: {value}\n" for name, value in mail.headers.items())
    return f"{head}\n{mail.text.strip()}\n{'-' * 72}"

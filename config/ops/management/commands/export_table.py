"""Copies a stage's whole table into a file."""

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from config import stack
from config.ops import backup, cloudformation, local_aws

WIDTH = 30


class Command(BaseCommand):
    """`manage.py export_table backup.jsonl.gz --stage prod`. A repeated run goes on."""

    help = "Copy the whole table into a file (gzip of JSON lines). An interrupted copy goes on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--stage", default="local", help="local (default), dev, prod")
        parser.add_argument("--region", help="else your default")
        parser.add_argument(
            "--table", help="another table than the stage's: one set back beside it"
        )

    def handle(
        self, *, file: Path, stage: str, region: str | None, table: str | None, **more: Any
    ) -> None:
        try:
            with ExitStack() as aws:
                client, found = self._stage(stage, region, aws)
                self._copy(client, replace(found, table_name=table or found.table_name), file, more)
        except (
            backup.BackupError,
            local_aws.EngineError,
            cloudformation.ProvisioningError,
            stack.StackUnknown,
        ) as error:
            raise CommandError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"AWS: {error}. Run it again: it goes on") from error

    def _stage(self, stage: str, region: str | None, aws: ExitStack) -> tuple[Any, stack.Stack]:
        """A stage's client of its table, and its resources; the embedded AWS runs meanwhile."""
        if stage == "local":
            endpoint_url = aws.enter_context(local_aws.running(stack.home()))
            local = replace(stack.stack(), endpoint_url=endpoint_url)
            return cloudformation.local_client("dynamodb", endpoint_url), local
        session = boto3.Session(region_name=region)
        outputs = cloudformation.outputs(session.client("cloudformation"), stage)
        client = session.client("dynamodb")
        return client, cloudformation.as_stack(outputs | {"Region": client.meta.region_name})

    def _copy(self, client: Any, where: stack.Stack, file: Path, more: dict[str, Any]) -> None:
        table = where.table_name
        expected = self.expected(client, table, file)
        copy = self.copy_of(more)
        count = copy(client, table, file, lambda done: self._bar(done, expected))
        self.stderr.write("")
        self.stdout.write(f"{count} items of {table}: {file}")

    def copy_of(self, more: dict[str, Any]) -> Callable[..., int]:
        """The function that copies, for the command's own options."""
        return backup.export_table

    def expected(self, client: Any, table: str, file: Path) -> int:
        """The approximate number of items: DynamoDB counts them every six hours."""
        return int(client.describe_table(TableName=table)["Table"]["ItemCount"])

    def _bar(self, done: int, expected: int) -> None:
        share = min(1.0, done / expected) if expected else 1.0
        filled = round(share * WIDTH)
        bar = "#" * filled + "." * (WIDTH - filled)
        self.stderr.write(f"\r[{bar}] {done} items", ending="")

"""Copies a stage's whole table into a file."""

from argparse import ArgumentParser
from collections.abc import Callable
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
    copy: Callable[..., int] = staticmethod(backup.export_table)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--stage", default="local", help="local (default), dev, prod")
        parser.add_argument("--region", help="else your default")

    def handle(self, *, file: Path, stage: str, region: str | None, **_: Any) -> None:
        try:
            if stage == "local":
                with local_aws.running(stack.home()) as endpoint_url:
                    client = cloudformation.local_client("dynamodb", endpoint_url)
                    self._copy(client, stack.stack().table_name, file)
            else:
                session = boto3.Session(region_name=region)
                outputs = cloudformation.outputs(session.client("cloudformation"), stage)
                self._copy(session.client("dynamodb"), outputs["TableName"], file)
        except (
            backup.BackupError,
            local_aws.EngineError,
            cloudformation.ProvisioningError,
            stack.StackUnknown,
        ) as error:
            raise CommandError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"AWS: {error}. Run it again: it goes on") from error

    def _copy(self, client: Any, table: str, file: Path) -> None:
        expected = self.expected(client, table, file)
        count = self.copy(client, table, file, lambda done: self._bar(done, expected))
        self.stderr.write("")
        self.stdout.write(f"{count} items of {table}: {file}")

    def expected(self, client: Any, table: str, file: Path) -> int:
        """The approximate number of items: DynamoDB counts them every six hours."""
        return int(client.describe_table(TableName=table)["Table"]["ItemCount"])

    def _bar(self, done: int, expected: int) -> None:
        share = min(1.0, done / expected) if expected else 1.0
        filled = round(share * WIDTH)
        bar = "#" * filled + "." * (WIDTH - filled)
        self.stderr.write(f"\r[{bar}] {done} items", ending="")

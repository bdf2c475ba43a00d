"""Tries a deployed stage as its users do."""

import os
from argparse import ArgumentParser
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from config.ops import probe
from config.ops.cloudformation import ProvisioningError
from config.ops.release import Environment, ReleaseError


class Command(BaseCommand):
    """`manage.py probe STAGE`. It takes about two minutes and removes all that it makes."""

    help = "Sign up, study and mail on a deployed stage, and tell what to do about each refusal."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", choices=["dev", "prod"])
        parser.add_argument("--region", help="else your default")
        parser.add_argument("--json", action="store_true", help="the lines for machines")

    def handle(self, *, stage: str, region: str | None, json: bool, **_: Any) -> None:
        # botocore's own variable. With it, the stage is one of the embedded AWS.
        place = Environment(boto3.Session(region_name=region), os.environ.get("AWS_ENDPOINT_URL"))
        lines = []
        try:
            for line in probe.probe(stage, place):
                lines.append(line)
                if not json:
                    self.stdout.write(str(line))
        except (ProvisioningError, ReleaseError) as error:
            raise CommandError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"AWS: {error}") from error
        if json:
            self.stdout.write(probe.as_json(lines))
        if failed := [line.step for line in lines if line.state == "failed"]:
            raise CommandError(f"refused: {', '.join(failed)}")

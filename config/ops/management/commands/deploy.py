"""Brings a stage to AWS: `manage.py deploy dev`, with your own credentials."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from config.ops import probe, release
from config.ops.cloudformation import ProvisioningError
from config.ops.management.commands.provision import add_parameters, pair
from config.ops.package import BundleError, Target


class Command(BaseCommand):
    """`manage.py deploy STAGE`. A repeated run applies changes; `--undo` keeps the data."""

    help = "Provision a stage, package, deploy or update, check, and go back if the check fails."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", choices=["dev", "prod"])
        parser.add_argument("--region", help="else your default")
        add_parameters(parser)
        parser.add_argument(
            "--package",
            type=Path,
            metavar="ZIP",
            help="release this package of the stage, made before, instead of a new one",
        )
        parser.add_argument("--dry-run", action="store_true", help="tell what would change")
        parser.add_argument("--undo", action="store_true", help="take function and API away")
        parser.add_argument("--yes", action="store_true", help="do not ask before taking away")
        parser.add_argument("--rotate-key", action="store_true", help="sign with a new key")

    def handle(self, *, stage: str, region: str | None, parameter: list[str], **o: Any) -> None:
        # botocore's own variable. With it, the release goes to the embedded AWS.
        endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
        place = release.Environment(boto3.Session(region_name=region), endpoint_url)
        target = Target.here() if endpoint_url else None
        parameters = dict(pair(text) for text in parameter)
        try:
            if o["dry_run"]:
                for line in release.plan(stage, place, parameters):
                    self.stdout.write(line)
            elif o["undo"]:
                self._confirm(stage, asked=not o["yes"])
                release.undeploy(stage, place, target=target, progress=self._tell)
            else:
                if o["rotate_key"]:
                    release.rotate_secret_key(stage, place, self._tell)
                address = release.deploy(
                    stage,
                    place,
                    parameters=parameters,
                    package=o["package"],
                    target=target,
                    progress=self._tell,
                )
                self.stdout.write(f"{stage} answers at {address}")
                if endpoint_url is None:
                    self._probe(stage, place)
        except (ProvisioningError, BundleError, release.ReleaseError) as error:
            raise CommandError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"AWS: {error}") from error
        except FileNotFoundError as error:
            raise CommandError(f"there is no package {error.filename}") from error

    def _probe(self, stage: str, place: release.Environment) -> None:
        """Shows what works. A first release has steps left for humans, so no refusal fails it."""
        self.stdout.write(f"Trying {stage} (again by hand: manage.py probe {stage})")
        for line in probe.probe(stage, place):
            self.stdout.write(str(line))

    def _confirm(self, stage: str, *, asked: bool) -> None:
        if asked and input(f"Take {stage} out of service? Its data stays. Type {stage}: ") != stage:
            raise CommandError("nothing was done")

    def _tell(self, line: str) -> None:
        self.stderr.write(line, self.style.NOTICE)

"""Makes or updates a stage's AWS resources from `infrastructure.yaml`."""

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from config import stack
from config.ops import cloudformation, local_aws
from config.ops.steps import Steps


class Command(BaseCommand):
    """`manage.py provision`. A repeated run changes nothing."""

    help = "Create or update the stack of a stage and print its outputs."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--stage",
            default="local",
            help="local (the embedded AWS, default), dev, prod: the last two with your credentials",
        )
        parser.add_argument("--region", help="AWS region of a real stage (else your default)")
        add_parameters(parser)

    def handle(self, *, stage: str, region: str | None, parameter: list[str], **_: Any) -> None:
        parameters = dict(pair(text) for text in parameter)
        try:
            if stage == "local":
                outputs = self._locally(parameters)
            else:
                client = boto3.client("cloudformation", region_name=region)
                outputs = cloudformation.apply(
                    client, stage=stage, parameters=parameters, progress=self._tell
                )
        except (cloudformation.ProvisioningError, local_aws.EngineError) as error:
            raise CommandError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"AWS: {error}") from error
        for name, value in sorted(outputs.items()):
            self.stdout.write(f"{name} = {value}")

    def _locally(self, parameters: dict[str, str]) -> dict[str, str]:
        home = stack.home()
        steps = Steps(sys.stderr)
        with ExitStack() as aws:
            with steps.step("Starting the embedded AWS"):
                engine = local_aws.running(home, progress=steps.tell)
                endpoint_url = aws.enter_context(engine)
            with steps.step("Applying config/ops/infrastructure.yaml"):
                return cloudformation.apply_locally(
                    home, endpoint_url, parameters=parameters, progress=steps.tell
                )

    def _tell(self, line: str) -> None:
        self.stderr.write(line, self.style.NOTICE)


def add_parameters(parser: ArgumentParser) -> None:
    """Adds `--parameter NAME=VALUE`, which may be given several times."""
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the template, e.g. MailFrom=parley@example.org; kept until changed",
    )


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"--parameter {text}: want NAME=VALUE")
    return name, value

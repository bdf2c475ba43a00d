"""Lists the routes that API Gateway lets in without a token."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.ops.public_routes import GateError, open_methods


class Command(BaseCommand):
    help = "List the methods and paths that need no access token at the gate."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for path, methods in open_methods().items():
                self.stdout.write(f"{' '.join(methods):10} /{path}")
        except GateError as error:
            raise CommandError(str(error)) from error

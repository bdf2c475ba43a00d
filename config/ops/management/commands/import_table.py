"""Fills a table from a file of export_table, and works out anew all that follows from the log."""

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management import call_command

from config import stack
from config.ops import backup
from config.ops.management.commands import export_table
from config.store.connection import connection


class Command(export_table.Command):
    """`manage.py import_table backup.jsonl.gz --stage dev`. A repeated run goes on."""

    help = (
        "Fill an empty table from a file of export_table, or with --over put back what learners "
        "had made. An interrupted import goes on. Then check_learner repairs all that was imported."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--over", action="store_true", help="into a table in use")
        parser.add_argument("--learner", metavar="ID", help="with --over: this learner alone")

    def copy_of(self, more: dict[str, Any]) -> Callable[..., int]:
        if more["over"]:
            return partial(backup.put_back, learner_id=more["learner"])
        return backup.import_table

    def expected(self, client: Any, table: str, file: Path) -> int:
        """How many items the file has."""
        state = file.with_name(f"{file.name}.state")
        return int(json.loads(state.read_text())["items"]) if state.exists() else 0

    def _copy(self, client: Any, where: stack.Stack, file: Path, more: dict[str, Any]) -> None:
        super()._copy(client, where, file, more)
        _enter(where)
        learner = [more["learner"]] if more["learner"] else []
        call_command("check_learner", *learner, "--repair", "--new-line", stdout=self.stdout)


def _enter(where: stack.Stack) -> None:
    """Makes this process work on a stage, whatever stage its settings name."""
    os.environ |= {
        f"PARLEY_{name.upper()}": value for name, value in vars(where).items() if value is not None
    }
    stack.stack.cache_clear()
    connection.cache_clear()

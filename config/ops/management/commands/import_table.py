"""Fills an empty table from a file of export_table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.ops import backup
from config.ops.management.commands import export_table


class Command(export_table.Command):
    """`manage.py import_table backup.jsonl.gz --stage dev`. A repeated run goes on."""

    help = "Fill an empty table from a file of export_table. An interrupted import goes on."
    copy: Callable[..., int] = staticmethod(backup.import_table)

    def expected(self, client: Any, table: str, file: Path) -> int:
        """How many items the file has."""
        state = file.with_name(f"{file.name}.state")
        return int(json.loads(state.read_text())["items"]) if state.exists() else 0

"""Makes the package that Lambda runs, and lists its contents by size."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from django.core.management.base import BaseCommand, CommandError

from config.ops.package import LIMIT_BYTES, BundleError, Target, build

MIB = 2**20
LARGEST = 10


class Command(BaseCommand):
    """`manage.py package dev`. Without a stage it makes one for this machine's own Python."""

    help = "Make the package of a stage in build/, or one that this machine can run."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", nargs="?", help="dev or prod; none: for this machine")

    def handle(self, *, stage: str | None, **_: Any) -> None:
        target = None if stage else Target.here()
        into = None if stage else Path("build", "here").absolute()
        try:
            bundle = build(stage or "dev", target=target, into=into, progress=self._tell)
        except BundleError as error:
            raise CommandError(str(error)) from error
        sizes = unpacked_sizes(bundle.zip)
        total = sum(sizes.values())
        packed_mib = bundle.zip.stat().st_size / MIB
        self.stdout.write(
            f"{bundle.zip}: {packed_mib:.1f} MiB, {total / MIB:.1f} MiB unpacked "
            f"of {LIMIT_BYTES / MIB:.0f} that Lambda allows"
        )
        for name, size in sizes.most_common(LARGEST):
            self.stdout.write(f"{size / MIB:8.1f} MiB  {name}")
        if total > LIMIT_BYTES:
            raise CommandError("the package is too large for Lambda")

    def _tell(self, line: str) -> None:
        self.stderr.write(line, self.style.NOTICE)


def unpacked_sizes(package: Path) -> Counter[str]:
    """The bytes of each top-level name, unpacked."""
    sizes: Counter[str] = Counter()
    with ZipFile(package) as content:
        for entry in content.infolist():
            sizes[entry.filename.partition("/")[0]] += entry.file_size
    return sizes

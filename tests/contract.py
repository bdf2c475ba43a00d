"""The contract with our clients as data, read and made once for all tests of a process."""

from functools import cache
from typing import Any

import yaml
from drf_spectacular.generators import SchemaGenerator

from config.stack import BASE_DIR

Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
Dumper = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper


@cache
def contract() -> dict[str, Any]:
    """What `docs/openapi.yaml` says. `test_openapi.py` holds it against the code."""
    text = (BASE_DIR / "docs" / "openapi.yaml").read_text()
    found: dict[str, Any] = yaml.load(text, Loader)  # noqa: S506 - safe
    return found


@cache
def made_contract() -> dict[str, Any]:
    """The document that the code makes from its routes; from here on all are loaded."""
    found: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return found


def as_stored(document: dict[str, Any]) -> Any:
    """A document as it is once it was written and read."""
    written = yaml.dump(document, Dumper=Dumper)
    return yaml.load(written, Loader)  # noqa: S506 - safe

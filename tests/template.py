"""The deployed template as data."""

from functools import cache
from typing import Any

import yaml

from config.ops import cloudformation


class Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's functions left as they are written: `!Ref Table`."""


def _function(loader: Any, suffix: str, node: yaml.Node) -> str:
    written = node.value if isinstance(node, yaml.ScalarNode) else ""
    return f"!{suffix} {written}".rstrip()


Loader.add_multi_constructor("!", _function)


@cache
def properties(resource: str) -> dict[str, Any]:
    """A resource's properties, as they stand in `config/ops/infrastructure.yaml`."""
    template = yaml.load(cloudformation.TEMPLATE.read_text(), Loader)  # noqa: S506 - safe
    found: dict[str, Any] = template["Resources"][resource]["Properties"]
    return found


def table_definition() -> dict[str, Any]:
    """The table's definition as arguments of `create_table`."""
    return {
        name: properties("Table")[name]
        for name in (
            "AttributeDefinitions",
            "BillingMode",
            "GlobalSecondaryIndexes",
            "KeySchema",
            "LocalSecondaryIndexes",
        )
    }

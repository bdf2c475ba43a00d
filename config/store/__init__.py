"""The table. Any module of this package finds PynamoDB loaded without botocore's client.

That takes 30 ms of a start instead of 170. Our own client replaces that of botocore.
`pynamodb.connection.base` imports eight of botocore's modules: for annotations, for one base class,
and for making a client itself. While it is imported, empty modules stand in for them. If botocore
is loaded already, nothing is replaced. `with_botocore` loads the real modules, so that PynamoDB can
make clients after all.
"""

import sys
from importlib import import_module
from types import ModuleType

import botocore
from botocore.exceptions import ClientError

STAND_INS: dict[str, dict[str, object]] = {
    "client": {"BaseClient": object, "ClientError": ClientError},
    "config": {},
    "credentials": {"Credentials": object},
    "endpoint": {"Endpoint": object},
    "hooks": {"HierarchicalEmitter": object},
    "model": {},
    "session": {"Session": object, "get_session": None},
    "signers": {"RequestSigner": object},
}
BASE = "pynamodb.connection.base"


def _load() -> None:
    if BASE in sys.modules or any(f"botocore.{name}" in sys.modules for name in STAND_INS):
        return
    modules = {}
    for name, attributes in STAND_INS.items():
        modules[name] = module = ModuleType(f"botocore.{name}")
        vars(module).update(attributes)
        sys.modules[f"botocore.{name}"] = module
        setattr(botocore, name, module)
    try:
        import_module(BASE)
    finally:
        for name in modules:
            del sys.modules[f"botocore.{name}"]
            delattr(botocore, name)


def with_botocore() -> None:
    """Loads the modules that PynamoDB went without, before it makes a botocore client."""
    for name in STAND_INS:
        import_module(f"botocore.{name}")
    base = sys.modules[BASE]
    vars(base)["get_session"] = vars(sys.modules["botocore.session"])["get_session"]


_load()

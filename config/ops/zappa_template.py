"""Zappa's "settings" callback: gives the function its secrets, and the API its open paths.

Zappa makes one method for all paths, which asks the authorizer. `gate.json` (see
`public_routes.py`) lists the additions. Zappa runs this with the standard library alone.
"""

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

PLAN = Path("gate.json")
SECRETS = "PARLEY_FUNCTION_SECRETS"  # variables of the function, as JSON: no file has them
# Zappa's own names: the API, the method of all paths, and the method of `/`.
API, ANY, ROOT_ANY = "Api", "ANY1", "ANY0"


class Template:
    """The part of a troposphere template that Zappa uses."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.resources = document["Resources"]

    def to_json(self, **options: Any) -> str:
        return json.dumps(self.document, **options)


def complete(cli: Any) -> None:
    """Adds the function's secrets, and completes Zappa's template whenever Zappa makes it."""
    secrets = json.loads(os.environ.get(SECRETS, "{}"))
    cli.aws_environment_variables = {**cli.aws_environment_variables, **secrets}
    make = cli.zappa.create_stack_template

    def made_and_completed(*arguments: Any, **options: Any) -> Template:
        document = json.loads(make(*arguments, **options).to_json())
        document["Resources"] |= additions(document["Resources"], json.loads(PLAN.read_text()))
        template = Template(document)
        cli.zappa.cf_template = template
        return template

    cli.zappa.create_stack_template = made_and_completed


def additions(zappas: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """The CloudFormation resources to add to Zappa's."""
    added: dict[str, Any] = {
        "RootOptions": _unguarded(zappas[ROOT_ANY], "OPTIONS"),
        "EverythingOptions": _unguarded(zappas[ANY], "OPTIONS"),
    }
    paths = dict(plan["open"])
    for method in paths.pop("", ()):  # Zappa has `/` already, and guards its other methods
        added[f"Root{method.title()}"] = _unguarded(zappas[ROOT_ANY], method)
    for path, methods in paths.items():
        here = _resource(path.split("/"), added)
        where = {"Ref": here}
        for method in dict.fromkeys([*methods, "OPTIONS"] if "ANY" not in methods else methods):
            added[f"{here}{method.title()}"] = _unguarded(zappas[ANY], method, where)
        if "ANY" not in methods:  # the other methods ask the authorizer, as everywhere
            added[f"{here}Any"] = _at(zappas[ANY], "ANY", where)
    for kind, answer in plan["answers"].items():
        added["Answer" + kind.title().replace("_", "")] = {
            "Type": "AWS::ApiGateway::GatewayResponse",
            "Properties": {
                "RestApiId": {"Ref": API},
                "ResponseType": kind,
                "StatusCode": answer["StatusCode"],
                "ResponseParameters": answer["ResponseParameters"],
                "ResponseTemplates": {"application/json": json.dumps(answer["body"])},
            },
        }
    return added


def _resource(words: list[str], added: dict[str, Any]) -> str:
    """The name of a path's resource. Adds it, and those above it, if they are missing."""
    if not words:
        return ""
    above = _resource(words[:-1], added)
    name = "Path" + "".join(re.sub("[^0-9a-zA-Z]", "", word.title()) for word in words)
    parent = {"Ref": above} if above else {"Fn::GetAtt": [API, "RootResourceId"]}
    properties = {"RestApiId": {"Ref": API}, "ParentId": parent, "PathPart": words[-1]}
    added[name] = {"Type": "AWS::ApiGateway::Resource", "Properties": properties}
    return name


def _at(method: dict[str, Any], name: str, where: Any = None) -> dict[str, Any]:
    """A copy of the method with another name, at another resource."""
    moved = copy.deepcopy(method)
    moved["Properties"] |= {"HttpMethod": name} | ({"ResourceId": where} if where else {})
    return moved


def _unguarded(method: dict[str, Any], name: str, where: Any = None) -> dict[str, Any]:
    moved = _at(method, name, where)
    moved["Properties"].pop("AuthorizerId", None)
    moved["Properties"]["AuthorizationType"] = "NONE"
    return moved

"""Zappa's "settings" callback: the API's template with a resource for each path that is open.

Zappa makes one method for all paths, which asks the authorizer. What stands in `gate.json` (see
`gate.py`) is added before the template is applied. Run by Zappa with the standard library alone.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

PLAN = Path("gate.json")
# What Zappa calls its own: the API, the resource of all paths, the method there, and that of `/`.
API, EVERYTHING, ANY, ROOT_ANY = "Api", "ResourceAnyPathSlashed", "ANY1", "ANY0"


class Template:
    """As much of a troposphere template as Zappa asks for."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.resources = document["Resources"]

    def to_json(self, **options: Any) -> str:
        return json.dumps(self.document, **options)


def complete(cli: Any) -> None:
    """Lets Zappa's template be completed whenever Zappa makes it."""
    make = cli.zappa.create_stack_template

    def made_and_completed(*arguments: Any, **options: Any) -> Template:
        document = json.loads(make(*arguments, **options).to_json())
        document["Resources"] |= additions(document["Resources"], json.loads(PLAN.read_text()))
        template = Template(document)
        cli.zappa.cf_template = template
        return template

    cli.zappa.create_stack_template = made_and_completed


def additions(zappas: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """The CloudFormation resources beside Zappa's."""
    added: dict[str, Any] = {
        "RootOptions": _unguarded(zappas[ROOT_ANY], "OPTIONS"),
        "EverythingOptions": _unguarded(zappas[ANY], "OPTIONS"),
    }
    paths = dict(plan["open"])
    for method in paths.pop("", ()):  # `/` is there already, and guards its other methods
        added[f"Root{method.title()}"] = _unguarded(zappas[ROOT_ANY], method)
    for path, methods in paths.items():
        here = _resource(path.split("/"), added)
        where = {"Ref": here}
        for method in dict.fromkeys([*methods, "OPTIONS"] if "ANY" not in methods else methods):
            added[f"{here}{method.title()}"] = _unguarded(zappas[ANY], method, where)
        if "ANY" not in methods:  # the others are guarded here as everywhere
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
    """The name of the resource of a path; it and those above it are added if they are not there."""
    if not words:
        return ""
    above = _resource(words[:-1], added)
    name = "Path" + "".join(re.sub("[^0-9a-zA-Z]", "", word.title()) for word in words)
    parent = {"Ref": above} if above else {"Fn::GetAtt": [API, "RootResourceId"]}
    properties = {"RestApiId": {"Ref": API}, "ParentId": parent, "PathPart": words[-1]}
    added[name] = {"Type": "AWS::ApiGateway::Resource", "Properties": properties}
    return name


def _at(method: dict[str, Any], name: str, where: Any = None) -> dict[str, Any]:
    """The same method by another name, and at another resource."""
    found = copy.deepcopy(method)
    found["Properties"] |= {"HttpMethod": name} | ({"ResourceId": where} if where else {})
    return found


def _unguarded(method: dict[str, Any], name: str, where: Any = None) -> dict[str, Any]:
    found = _at(method, name, where)
    found["Properties"].pop("AuthorizerId", None)
    found["Properties"]["AuthorizationType"] = "NONE"
    return found

"""What of a change of the OpenAPI document breaks clients that were written before it.

The rules are those of docs/compatibility.md. Tools that could decide (oasdiff, Optic) are a binary
from elsewhere or no longer kept.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

Shape = dict[str, Any]
LOWER = {"maxLength", "maximum", "maxItems"}  # in a request: may not become lower
HIGHER = {"minLength", "minimum", "minItems"}


def breaking(old: Shape, new: Shape, today: date) -> list[str]:
    """Each change between two documents that a client would notice as a fault."""
    return sorted(set(_of_documents(old, new, today)))


def _of_documents(old: Shape, new: Shape, today: date) -> Iterator[str]:
    compared = _Shapes(old, new)
    for path, verbs in old["paths"].items():
        for verb, before in verbs.items():
            where, after = f"{verb.upper()} {path}", new["paths"].get(path, {}).get(verb)
            if after is not None:
                yield from _of_operations(compared, where, before, after)
            elif not _is_over(before, today):
                yield f"{where}: is gone"


def _is_over(operation: Shape, today: date) -> bool:
    return "x-sunset" in operation and date.fromisoformat(operation["x-sunset"]) <= today


def _of_operations(compared: "_Shapes", where: str, old: Shape, new: Shape) -> Iterator[str]:
    if old["operationId"] != new["operationId"]:
        yield f"{where}: is called {new['operationId']}"
    if old["security"] == [] and new["security"] != []:
        yield f"{where}: needs a token"
    yield from _of_parameters(compared, where, old, new)
    yield from _of_bodies(compared, f"{where} body", old.get("requestBody"), new.get("requestBody"))
    for status, answer in old["responses"].items():
        if status.startswith("2"):
            before, after = compared.old(answer), compared.new(new["responses"].get(status, {}))
            if not after:
                yield f"{where}: no longer answers {status}"
            for kind, media_type in before.get("content", {}).items():
                now = after.get("content", {}).get(kind)
                there = f"{where} {status}"
                if now is None:
                    yield f"{there}: is no {kind}"
                else:
                    yield from compared.answer(there, media_type["schema"], now["schema"])


def _of_parameters(compared: "_Shapes", where: str, old: Shape, new: Shape) -> Iterator[str]:
    before, after = (
        {(each["in"], each["name"]): each for each in operation.get("parameters", [])}
        for operation in (old, new)
    )
    for key in before.keys() - after.keys():
        yield f"{where}: does not take {key[1]}"
    for key, parameter in after.items():
        there = f"{where} {key[1]}"
        if parameter.get("required") and not before.get(key, {}).get("required"):
            yield f"{there}: is needed"
        if key in before:
            yield from compared.request(there, before[key]["schema"], parameter["schema"])


def _of_bodies(
    compared: "_Shapes", where: str, old: Shape | None, new: Shape | None
) -> Iterator[str]:
    if new and new.get("required") and not (old or {}).get("required"):
        yield f"{where}: is needed"
    for kind, media_type in (old or {}).get("content", {}).items():
        now = (new or {}).get("content", {}).get(kind)
        if now is None:
            yield f"{where}: is not taken as {kind}"
        else:
            yield from compared.request(where, media_type["schema"], now["schema"])


class _Shapes:
    """The shapes of both documents, compared as clients send and as they read them."""

    def __init__(self, old: Shape, new: Shape) -> None:
        self.documents = old, new
        self.seen: set[tuple[str, str, str]] = set()

    def old(self, shape: Shape) -> Shape:
        return _resolved(self.documents[0], shape)

    def new(self, shape: Shape) -> Shape:
        return _resolved(self.documents[1], shape)

    def request(self, where: str, old: Shape, new: Shape) -> Iterator[str]:
        if self._is_known("request", old, new):
            return
        before, after = self.old(old), self.new(new)
        if missing := _types(before) - _types(after):
            yield f"{where}: may not be {', '.join(sorted(missing))}"
        if "enum" in after and (gone := set(_values(before)) - set(after["enum"])):
            yield f"{where}: may not be {', '.join(map(str, sorted(gone, key=str)))}"
        for rule in LOWER | HIGHER:
            limit, former = after.get(rule), before.get(rule)
            is_lower = limit is not None and (former is None or limit < former)
            is_higher = limit is not None and (former is None or limit > former)
            if (rule in LOWER and is_lower) or (rule in HIGHER and is_higher and limit != 0):
                yield f"{where}: has {rule} {limit}, was {former}"
        if after.get("pattern", before.get("pattern")) != before.get("pattern"):
            yield f"{where}: has another pattern"
        parts = before.get("properties", {}), after.get("properties", {})
        for name in parts[0].keys() - parts[1].keys():
            yield f"{where}.{name}: is not taken"
        for name in set(after.get("required", ())) - set(before.get("required", ())):
            yield f"{where}.{name}: is needed"
        yield from self._inside(self.request, where, before, after)

    def answer(self, where: str, old: Shape, new: Shape) -> Iterator[str]:
        if self._is_known("answer", old, new):
            return
        before, after = self.old(old), self.new(new)
        if added := _types(after) - _types(before):
            yield f"{where}: may be {', '.join(sorted(added))}"
        parts = before.get("properties", {}), after.get("properties", {})
        for name in parts[0].keys() - parts[1].keys():
            yield f"{where}.{name}: is gone"
        for name in set(before.get("required", ())) - set(after.get("required", ())):
            if name in parts[1]:
                yield f"{where}.{name}: may be missing"
        yield from self._inside(self.answer, where, before, after)

    def _is_known(self, way: str, old: Shape, new: Shape) -> bool:
        """Whether two named shapes were compared before, or are being compared further out."""
        if "$ref" not in old:
            return False
        key = (way, old["$ref"], new.get("$ref", ""))
        known = key in self.seen
        self.seen.add(key)
        return known

    @staticmethod
    def _inside(compare: Any, where: str, old: Shape, new: Shape) -> Iterator[str]:
        for name in old.get("properties", {}).keys() & new.get("properties", {}).keys():
            yield from compare(f"{where}.{name}", old["properties"][name], new["properties"][name])
        if "items" in old and "items" in new:
            yield from compare(f"{where}[]", old["items"], new["items"])
        for choice in ("oneOf", "allOf"):
            for before, after in zip(old.get(choice, ()), new.get(choice, ()), strict=False):
                yield from compare(where, before, after)
            if len(old.get(choice, ())) > len(new.get(choice, ())):
                yield f"{where}: has fewer shapes"


def _resolved(document: Shape, shape: Shape) -> Shape:
    while "$ref" in shape:
        _, _, room, name = shape["$ref"].split("/")
        shape = document["components"][room][name]
    return shape


def _types(shape: Mapping[str, Any]) -> set[str]:
    kinds = shape.get("type", [])
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    return found - {"integer"} | {"number"} if "integer" in found else found


def _values(shape: Mapping[str, Any]) -> list[Any]:
    return list(shape.get("enum", [shape["const"]] if "const" in shape else []))

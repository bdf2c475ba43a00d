"""Examples of bodies for the OpenAPI document, put together from those of their fields."""

from collections.abc import Iterator
from typing import Any

Shape = dict[str, Any]

# Sample texts by the wire name of their field, for serializers that name none.
BY_NAME: dict[str, Any] = {
    "accessToken": "eyJraWQiOiJ…",
    "also": "Boa tarde",
    "back": "house",
    "backupCodes": "7Q4K-M2XD-9RTV",
    "better": "Queria um café",
    "brief": "You have just moved in and meet your neighbour on the stairs.",
    "code": "123456",
    "codeVerifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "columns": "front",
    "context": "cafe",
    "cursor": "eyJwayI6IkwjM…",
    "deck": "Português",
    "description": "Words for the first week.",
    "email": "ana@example.org",
    "encoding": "utf-8",
    "example": "A casa é grande.",
    "farewell": "Até logo!",
    "field": "tags.1",
    "filename": "words.csv",
    "firstName": "Ana",
    "front": "casa",
    "goal": "order a coffee",
    "header": "front",
    "goals": "order",
    "hint": "Begin with “Queria”.",
    "hints": "Begin with “Queria”.",
    "idToken": "eyJraWQiOiJ…",
    "ip": "192.0.2.7",
    "key": "4f0c6f6e-3f3b-4b53-8a0a-6a1f5d0f9e11",
    "kind": "card",
    "language": "pt",
    "lastName": "Prado",
    "line": "Bom dia!",
    "lines": "Bom dia!",
    "location": "Rua Augusta 12, Lisboa",
    "meaning": "I would like",
    "message": "Done.",
    "name": "Português",
    "notes": "Feminine.",
    "opening": "Bom dia! O que deseja?",
    "otpauthUri": "otpauth://totp/Parley:ana%40example.org?secret=JBSWY3DPEHPK3PXP",
    "phonetic": "ˈka.zɐ",
    "phrases": "queria um café",
    "qrCode": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "reason": "It is not needed any more.",
    "redirectUri": "https://app.example.org/signed-in",
    "refreshToken": "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIn0",
    "reply": "Com certeza!",
    "right": "Queria um café, por favor.",
    "role": "guest",
    "rrule": "FREQ=WEEKLY;BYDAY=MO",
    "said": "Quero um café",
    "say": "Bom dia!",
    "secret": "JBSWY3DPEHPK3PXP",
    "sentence": "Queria um café, por favor.",
    "separator": ",",
    "sessionToken": "AYABeC1xPz",
    "start": "greeting",
    "status": "ok",
    "tags": "kitchen",
    "target": "ana@example.org",
    "text": "Queria um café, por favor.",
    "title": "Ligar à Inês",
    "type": "basic",
    "uid": "4f0c6f6e@calendar.example.org",
    "userAgent": "Firefox on Linux",
    "verificationToken": "AYABeC1xPz",
    "why": "“Queria” is more polite than “quero”.",
}
ID = "4f0c6f6e-3f3b-4b53-8a0a-6a1f5d0f9e11"
BY_FORMAT: dict[str, Any] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T09:00:00Z",
    "iana-time-zone": "Europe/Lisbon",
    "uri": "https://api.example.org/decks",
    "uuid": ID,
}


def add_examples(document: Shape) -> None:
    """Gives an example to every JSON body of a request or a success, one for each shape."""
    shapes, examples = document["components"]["schemas"], document["components"]["examples"]
    for media_type in _json_bodies(document):
        name = media_type["schema"].get("$ref", "").rpartition("/")[2]
        if not name or "example" in media_type or "examples" in media_type:
            continue
        examples.setdefault(name, {"value": _value(shapes[name], name, shapes)})
        media_type["examples"] = {name: {"$ref": f"#/components/examples/{name}"}}


def _json_bodies(document: Shape) -> Iterator[Shape]:
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            bodies = [answers[status] for status in answers if status.startswith("2")]
            for body in [operation.get("requestBody", {}), *bodies]:
                if json_body := body.get("content", {}).get("application/json"):
                    yield json_body


def _value(schema: Shape, name: str, shapes: dict[str, Shape]) -> Any:
    """An example of the schema under a name: its own, or one put together from its parts."""
    for told in ("examples", "enum"):
        if told in schema:
            return schema[told][0]
    for told in ("const", "example"):
        if told in schema:
            return schema[told]
    if "$ref" in schema:
        return _value(shapes[schema["$ref"].rpartition("/")[2]], name, shapes)
    for choice in ("oneOf", "anyOf", "allOf"):
        if choice in schema:
            return _value(schema[choice][0], name, shapes)
    kind = schema["type"][0] if isinstance(schema.get("type"), list) else schema.get("type")
    if kind == "object":
        return _members(schema, shapes)
    if kind == "array":
        return [_value(schema["items"], name, shapes)] * max(1, schema.get("minItems", 1))
    if kind == "string":
        text = ID if name == "id" or name.endswith(("Id", "ids")) else "…"
        return BY_FORMAT.get(schema.get("format", ""), BY_NAME.get(name, text))
    if kind == "boolean":
        return True
    return schema.get("minimum", 1) if kind in ("integer", "number") else None


def _members(schema: Shape, shapes: dict[str, Shape]) -> Shape:
    """An object's members: of a request only what is required or has an example of its own."""
    needed = schema.get("required", ())
    properties = schema.get("properties", {})
    told = {name for name, each in properties.items() if name in needed or "examples" in each}
    return {
        name: _value(each, name, shapes)
        for name, each in properties.items()
        if name in (told or properties)
    }

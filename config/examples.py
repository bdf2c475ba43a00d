"""Examples of bodies for the OpenAPI document, put together from those of their fields."""

from collections.abc import Iterator
from typing import Any

Shape = dict[str, Any]

# What a value looks like, by the wire name of its field, where its serializer does not say it.
BY_NAME: dict[str, Any] = {
    "accessToken": "eyJraWQiOiJ…",
    "also": "Boa tarde",
    "back": "house",
    "attempts": 8,
    "avatarUrl": "https://media.example.org/ana",
    "backupCodes": "7Q4K-M2XD-9RTV",
    "better": "Queria um café",
    "brief": "You have just moved in and meet your neighbour on the stairs.",
    "code": "123456",
    "codeVerifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "columns": "front",
    "context": "cafe",
    "cursor": "eyJwayI6IkwjM…",
    "dayStartsAtHour": 4,
    "deck": "Português",
    "deleted": False,
    "description": "Words for the first week.",
    "detail": "You have no such flashcard",
    "disabled": False,
    "dueAt": "2026-11-24T09:00:00Z",
    "email": "ana@example.org",
    "encoding": "utf-8",
    "ended": False,
    "ends": "07:00",
    "example": "A casa é grande.",
    "expiresIn": 3600,
    "farewell": "Até logo!",
    "field": "tags.1",
    "filename": "words.csv",
    "firstName": "Ana",
    "front": "casa",
    "goal": "order a coffee",
    "header": "front",
    "goals": "order",
    "groups": "staff",
    "hint": "Begin with “Queria”.",
    "hints": "Begin with “Queria”.",
    "idToken": "eyJraWQiOiJ…",
    "intervalDays": 3,
    "ip": "192.0.2.7",
    "key": "4f0c6f6e-3f3b-4b53-8a0a-6a1f5d0f9e11",
    "kind": "card",
    "language": "pt",
    "lastName": "Prado",
    "line": "Bom dia!",
    "lines": "Bom dia!",
    "location": "Rua Augusta 12, Lisboa",
    "meaning": "I would like",
    "message": "We have mailed you a code.",
    "model": "eu.amazon.nova-lite-v1:0",
    "more": False,
    "name": "Português",
    "next": "https://api.example.org/decks?cursor=eyJwayI6IkwjMSJ9",
    "notes": "Feminine.",
    "notice": "You are speaking with a machine. It can be wrong.",
    "occurrence": "2026-11-24T09:00:00Z",
    "opening": "Bom dia! O que deseja?",
    "order": 10,
    "otpauthUri": "otpauth://totp/Parley:ana%40example.org?secret=JBSWY3DPEHPK3PXP",
    "passwordRequired": False,
    "phonetic": "ˈka.zɐ",
    "phrases": "queria um café",
    "qrCode": "data:image/png;base64,iVBORw0KGgo…",
    "reason": "It is not needed any more.",
    "redirectUri": "https://app.example.org/signed-in",
    "refreshToken": "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIn0",
    "reply": "Com certeza!",
    "retrievability": 0.87,
    "right": "Queria um café, por favor.",
    "role": "guest",
    "rrule": "FREQ=WEEKLY;BYDAY=MO",
    "said": "Quero um café",
    "say": "Bom dia!",
    "scenarioId": "coffee-to-take-away",
    "secret": "JBSWY3DPEHPK3PXP",
    "sentence": "Queria um café, por favor.",
    "separator": ",",
    "sessionToken": "AYABeC1xPz",
    "sizeBytes": 24310,
    "start": "greeting",
    "status": "ok",
    "tags": "kitchen",
    "target": "ana@example.org",
    "term": "a conta",
    "text": "Queria um café, por favor.",
    "title": "Ligar à Inês",
    "type": "basic",
    "uid": "4f0c6f6e@calendar.example.org",
    "userAgent": "Firefox on Linux",
    "value": 80,
    "verificationToken": "AYABeC1xPz",
    "what": "Queria um café, por favor.",
    "why": "“Queria” is more polite than “quero”.",
}
# What is null in the usual case.
ABSENT = frozenset({"fallback", "mailSuppression", "problem"})
ID = "4f0c6f6e-3f3b-4b53-8a0a-6a1f5d0f9e11"
BY_FORMAT: dict[str, Any] = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T09:00:00Z",
    "iana-time-zone": "Europe/Lisbon",
    "uri": "https://files.example.org/4f0c6f6e?signature=b1946ac9",
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
            if name in ABSENT and {"type": "null"} in schema[choice]:
                return None
            return _value(schema[choice][0], name, shapes)
    kind = schema["type"][0] if isinstance(schema.get("type"), list) else schema.get("type")
    if kind == "object":
        return _members(schema, shapes)
    if kind == "array":
        return [_value(schema["items"], name, shapes)] * max(1, schema.get("minItems", 1))
    if kind == "string":
        text = ID if name == "id" or name.endswith(("Id", "ids")) else "…"
        return _named(name, str, BY_FORMAT.get(schema.get("format", ""), text))
    if kind == "boolean":
        return _named(name, bool, True)
    least = schema.get("minimum", 1)
    return _named(name, (int, float), least) if kind in ("integer", "number") else None


def _named(name: str, kind: type | tuple[type, ...], otherwise: Any) -> Any:
    value = BY_NAME.get(name)
    return value if isinstance(value, kind) else otherwise


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

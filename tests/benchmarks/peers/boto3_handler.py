"""A bare handler: boto3, PyJWT, py-fsrs, and nothing that checks or describes what it answers."""

import hmac
import json
import os
import time
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import boto3
import jwt
from fsrs import Card, Rating, Scheduler, State

TABLE = os.environ["PARLEY_TABLE_NAME"]
ISSUER = os.environ["PEER_ISSUER"]
CLIENT_ID = os.environ["PARLEY_CLIENT_ID"]
CLIENT_SECRET = os.environ["PARLEY_CLIENT_SECRET"]
POOL = os.environ["PARLEY_USER_POOL_ID"]

dynamodb = boto3.client("dynamodb")
cognito = boto3.client("cognito-idp")
keys = jwt.PyJWKClient(os.environ["PEER_JWKS_URL"])
scheduler = Scheduler()
STATES = {"new": State.Learning, "learning": State.Learning, "review": State.Review,
          "relearning": State.Relearning}  # fmt: skip


def learner_of(event):
    token = event["headers"]["Authorization"].removeprefix("Bearer ")
    key = keys.get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, ["RS256"], issuer=ISSUER, options={"verify_aud": False})
    if claims["token_use"] != "access" or claims["client_id"] != CLIENT_ID:
        raise PermissionError
    return claims["sub"]


def values(item):
    """An item of DynamoDB's as plain values, of the types that these five requests meet."""
    plain = {}
    for name, value in item.items():
        ((kind, held),) = value.items()
        plain[name] = float(held) if kind == "N" else held
    return plain


def fetch(pk, *sks):
    wanted = [{"pk": {"S": pk}, "sk": {"S": sk}} for sk in sks]
    answer = dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": wanted, "ConsistentRead": True}})
    return {item["sk"]["S"]: values(item) for item in answer["Responses"][TABLE]}


def query(pk, low, high, sort="lsi1", limit=101):
    index = {"IndexName": sort} if sort != "sk" else {}
    answer = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="#pk = :pk AND #sort BETWEEN :low AND :high",
        ExpressionAttributeNames={"#pk": "pk", "#sort": sort},
        ExpressionAttributeValues={":pk": {"S": pk}, ":low": {"S": low}, ":high": {"S": high}},
        ConsistentRead=True,
        Limit=limit,
        **index,
    )
    return [values(item) for item in answer["Items"]]


def instant(micros):
    if micros is None:
        return None
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z")


def memory(raw):
    return Card(
        state=STATES[raw.get("s", "new")],
        step=raw.get("t", 0),
        stability=raw.get("S"),
        difficulty=raw.get("D"),
        due=datetime.fromtimestamp(raw["d"] / 1e6, UTC),
        last_review=datetime.fromtimestamp(raw["l"] / 1e6, UTC) if "l" in raw else None,
    )


def card_body(card, note):
    raw = json.loads(card["m"])
    return {
        "id": card["sk"].removeprefix("CARD#"),
        "noteId": note["id"],
        "ordinal": 0,
        "deckId": note["deck_id"],
        "front": note["front"],
        "back": note["back"],
        "phonetic": note.get("phonetic"),
        "example": note.get("example"),
        "notes": note.get("notes"),
        "tags": note.get("tags", []),
        "audioUrl": note.get("audio_url"),
        "imageUrl": note.get("image_url"),
        "sourceSessionId": note.get("source_session_id"),
        "sourceTurn": note.get("source_turn"),
        "state": raw.get("s", "new"),
        "step": raw.get("t"),
        "stability": raw.get("S"),
        "difficulty": raw.get("D"),
        "dueAt": instant(raw["d"]),
        "intervalDays": int((raw["d"] - raw.get("l", raw["d"])) // 86_400_000_000),
        "lastReviewAt": instant(raw.get("l")),
        "reps": raw.get("r", 0),
        "lapses": raw.get("f", 0),
        "suspended": "x" in raw,
        "suspendedBy": raw.get("x"),
        "leech": bool(raw.get("L")),
        "buriedUntil": instant(raw.get("b")),
        "createdAt": note["created_at"],
        "updatedAt": instant(raw["u"]),
        "version": int(note["version"]),
    }


def get_card(learner, card_id):
    items = fetch(f"LEARNER#{learner}", f"CARD#{card_id}", f"NOTE#{card_id}")
    return card_body(items[f"CARD#{card_id}"], items[f"NOTE#{card_id}"])


def list_cards(learner):
    pk = f"LEARNER#{learner}"
    cards = query(pk, "CARD#", "CARD#~", "sk", 51)[:50]
    ids = [card["sk"].removeprefix("CARD#") for card in cards]
    found = query(pk, f"NOTE#{ids[0]}", f"NOTE#{ids[-1]}", "sk", 10_001)
    notes = {note["id"]: note for note in found}
    results = [card_body(card, notes[id_]) for card, id_ in zip(cards, ids, strict=True)]
    return {"results": results, "next": None}


def due(learner):
    pk, now = f"LEARNER#{learner}", datetime.now(UTC)
    fetch(pk, "PROFILE", "HEAD", "SCHEDULER")
    ends_at = now.date().isoformat() + "T23:59:59.999999Z"
    cards = [c for s in ("L", "R", "N#0") for c in query(pk, f"{s}#", f"{s}#{ends_at}")][:20]
    ids = [card["sk"].removeprefix("CARD#") for card in cards]
    notes = fetch(pk, *(f"NOTE#{id_}" for id_ in ids))
    results = []
    for card, id_ in zip(cards, ids, strict=True):
        before = memory(json.loads(card["m"]))
        answers = {}
        for rating in Rating:
            after, _ = scheduler.review_card(before, rating, now)
            answers[rating.name.lower()] = {
                "dueAt": after.due.isoformat(),
                "intervalDays": (after.due - now).days,
                "state": after.state.name.lower(),
            }
        recall = scheduler.get_card_retrievability(before, now)
        results.append({"card": card_body(card, notes[f"NOTE#{id_}"]), "answers": answers,
                        "retrievability": recall})  # fmt: skip
    counts = {"learning": 0, "review": len(results), "new": 0}
    return {"results": results, "counts": counts, "nextLearningAt": None, "dayEndsAt": ends_at}


def profile(learner):
    items = fetch(f"LEARNER#{learner}", "ACCOUNT", "PROFILE", "HEAD", "SUPPRESSION")
    account, own, head = items["ACCOUNT"], items["PROFILE"], items["HEAD"]
    return {
        "userId": learner,
        "email": account["email"],
        "emailVerified": account["email_verified"],
        "firstName": own["first_name"],
        "lastName": own["last_name"],
        "timezone": own["timezone"],
        "dailyGoal": int(own["daily_goal"]),
        "cardsLearned": int(head["cards"] - head["new"]),
        "createdAt": own["created_at"],
        "version": int(own["version"]),
    }


def review(learner, card_id, body):
    pk, now = f"LEARNER#{learner}", datetime.now(UTC)
    log_key = f"LOG#{card_id}#{body['id']}"
    sks = ("PROFILE", "HEAD", "SCHEDULER", f"CARD#{card_id}", f"NOTE#{card_id}", log_key)
    wanted = [{"pk": {"S": pk}, "sk": {"S": sk}} for sk in sks]
    answer = dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": wanted, "ConsistentRead": True}})
    raws = {item["sk"]["S"]: item for item in answer["Responses"][TABLE]}
    head, card = raws["HEAD"], raws[f"CARD#{card_id}"]
    raw = json.loads(card["m"]["S"])
    rating = Rating[body["rating"].capitalize()]
    after, _ = scheduler.review_card(memory(raw), rating, now)
    raw |= {
        "s": after.state.name.lower(),
        "S": after.stability,
        "D": after.difficulty,
        "d": int(after.due.timestamp() * 1e6),
        "l": int(now.timestamp() * 1e6),
        "r": raw.get("r", 0) + 1,
        "u": int(now.timestamp() * 1e6),
    }
    number = head["n"]["N"]
    following = {"N": str(int(number) + 1)}
    entry = {"pk": {"S": pk}, "sk": {"S": log_key}, "kind": {"S": "log"},
             "rating": {"S": body["rating"]}, "at": {"S": body["reviewedAt"]}}  # fmt: skip
    as_read = {"ConditionExpression": "#n = :n", "ExpressionAttributeNames": {"#n": "n"},
               "ExpressionAttributeValues": {":n": {"N": number}}}  # fmt: skip
    puts = [
        {"TableName": TABLE, "Item": {**head, "n": following}, **as_read},
        {"TableName": TABLE, "Item": {**card, "m": {"S": json.dumps(raw)}}},
        {
            "TableName": TABLE,
            "Item": entry,
            "ConditionExpression": "attribute_not_exists(#pk)",
            "ExpressionAttributeNames": {"#pk": "pk"},
        },
    ]
    dynamodb.transact_write_items(
        TransactItems=[{"Put": put} for put in puts], ClientRequestToken=str(uuid4())
    )
    shown = card_body(
        {"sk": f"CARD#{card_id}", "m": json.dumps(raw)}, values(raws[f"NOTE#{card_id}"])
    )
    return {"review": {**body, "cardId": card_id, "kind": "review"}, "card": shown}


def guess_keys(email, source):
    """The counters of guesses at an account and from a source, with the most of each."""
    return [
        (f"ATTEMPTS#login#{sha256(email.encode()).hexdigest()[:32]}", 20),
        (f"ATTEMPTS#login_source#{sha256(source.encode()).hexdigest()[:32]}", 100),
    ]


def count_guess(key, number, most):
    """Counts a guess, or takes it back, within the limit."""
    dynamodb.update_item(
        TableName=TABLE,
        Key={"pk": {"S": key}, "sk": {"S": "ATTEMPTS"}},
        UpdateExpression="SET #until = if_not_exists(#until, :until) ADD #all :number",
        ConditionExpression="attribute_not_exists(#all) OR #all < :most",
        ExpressionAttributeNames={"#all": "all", "#until": "expires_at"},
        ExpressionAttributeValues={
            ":number": {"N": str(number)},
            ":most": {"N": str(most)},
            ":until": {"N": str(int(time.time()) + 900)},
        },
        ReturnValues="ALL_NEW",
    )


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def login(body, source, agent):
    email, now = body["email"].lower(), datetime.now(UTC)
    for key, most in guess_keys(email, source):
        count_guess(key, 1, most)
    dynamodb.get_item(
        TableName=TABLE,
        Key={"pk": {"S": f"EMAIL#{email}"}, "sk": {"S": "EMAIL"}},
        ConsistentRead=True,
    )
    proof = hmac.new(CLIENT_SECRET.encode(), f"{email}{CLIENT_ID}".encode(), sha256).digest()
    answer = cognito.admin_initiate_auth(
        UserPoolId=POOL,
        ClientId=CLIENT_ID,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={
            "USERNAME": email,
            "PASSWORD": body["password"],
            "SECRET_HASH": b64encode(proof).decode(),
        },
    )
    tokens = answer["AuthenticationResult"]
    for key, most in guess_keys(email, source):
        count_guess(key, -1, most + 1)
    learner = claims_of(tokens["AccessToken"])["sub"]
    pk, at = f"LEARNER#{learner}", now.isoformat()
    user = profile(learner)
    query(pk, "LOGIN#", "LOGIN#~", "lsi4", 51)
    rows = [
        {"pk": pk, "sk": f"ACTIVITY#{uuid4()}", "kind": "activity", "action": "signed_in",
         "at": at, "ip": source, "agent": agent},
        {"pk": f"KNOWN#{email}", "sk": source, "kind": "known", "at": at},
        {"pk": pk, "sk": f"LOGIN#{uuid4()}", "kind": "login", "lsi4": f"LOGIN#{at}",
         "begun_at": at, "ip": source, "agent": agent,
         "token": sha256(tokens["RefreshToken"].encode()).hexdigest()},
    ]  # fmt: skip
    puts = [
        {"Put": {"TableName": TABLE, "Item": {name: {"S": text} for name, text in row.items()}}}
        for row in rows
    ]
    account = {
        "TableName": TABLE,
        "Key": {"pk": {"S": pk}, "sk": {"S": "ACCOUNT"}},
        "ConditionExpression": "attribute_exists(#pk)",
        "ExpressionAttributeNames": {"#pk": "pk"},
    }
    dynamodb.transact_write_items(
        TransactItems=[*puts, {"ConditionCheck": account}], ClientRequestToken=str(uuid4())
    )
    return {
        "accessToken": tokens["AccessToken"],
        "idToken": tokens["IdToken"],
        "refreshToken": tokens["RefreshToken"],
        "expiresIn": tokens["ExpiresIn"],
        "user": user,
    }


def lambda_handler(event, context):
    started = time.monotonic()
    if event["path"] == "/auth/login":
        source = event["requestContext"]["identity"]["sourceIp"]
        body = login(json.loads(event["body"]), source, event["headers"].get("User-Agent", ""))
        return {
            "statusCode": 200,
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps(body),
        }
    try:
        learner = learner_of(event)
    except (KeyError, PermissionError, jwt.PyJWTError):
        return {"statusCode": 401, "body": json.dumps({"error": "unauthorized"})}
    status = 200
    match event["httpMethod"], event["path"].strip("/").split("/"):
        case "GET", ["flashcards"]:
            body = list_cards(learner)
        case "GET", ["flashcards", "due"]:
            body = due(learner)
        case "GET", ["flashcards", card_id]:
            body = get_card(learner, card_id)
        case "POST", ["flashcards", card_id, "reviews"]:
            body, status = review(learner, card_id, json.loads(event["body"])), 201
        case "GET", ["profile"]:
            body = profile(learner)
        case _:
            return {"statusCode": 404, "body": "{}"}
    print(json.dumps({"path": event["path"], "ms": (time.monotonic() - started) * 1000}))
    headers = {"Content-Type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}

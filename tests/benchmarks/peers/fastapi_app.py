"""FastAPI behind Mangum, with PynamoDB's models."""

import hmac
import json
import os
import time
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated
from uuid import uuid4

import boto3
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fsrs import Card as Memory
from fsrs import Rating, Scheduler, State
from mangum import Mangum
from models import (
    CardBody,
    CardPage,
    Counts,
    Credentials,
    DueCard,
    NewReview,
    ProfileBody,
    Queue,
    Reviewed,
    SignedIn,
)
from pynamodb.attributes import NumberAttribute, UnicodeAttribute, UTCDateTimeAttribute
from pynamodb.indexes import AllProjection, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

app = FastAPI()
keys = jwt.PyJWKClient(os.environ["PEER_JWKS_URL"])
cognito = boto3.client("cognito-idp")
scheduler = Scheduler()
STATES = {"new": State.Learning, "learning": State.Learning, "review": State.Review,
          "relearning": State.Relearning}  # fmt: skip


class Queued(LocalSecondaryIndex):
    class Meta:
        index_name = "lsi1"
        projection = AllProjection()

    pk = UnicodeAttribute(hash_key=True)
    lsi1 = UnicodeAttribute(range_key=True)
    sk = UnicodeAttribute()
    m = UnicodeAttribute()


class SignIns(LocalSecondaryIndex):
    class Meta:
        index_name = "lsi4"
        projection = AllProjection()

    pk = UnicodeAttribute(hash_key=True)
    lsi4 = UnicodeAttribute(range_key=True)


class Row(Model):
    class Meta:
        table_name = os.environ["PARLEY_TABLE_NAME"]
        region = os.environ["AWS_REGION"]
        host = os.environ["AWS_ENDPOINT_URL"]

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = UnicodeAttribute(null=True)


class Card(Row):
    d = UnicodeAttribute()
    lsi1 = UnicodeAttribute(null=True)
    lsi2 = UnicodeAttribute(null=True)
    lsi3 = UnicodeAttribute(null=True)
    m = UnicodeAttribute()
    n = NumberAttribute(null=True)
    r = NumberAttribute(null=True)
    queued, newest = Queued(), SignIns()


class Note(Row):
    id = UnicodeAttribute()
    deck_id = UnicodeAttribute()
    front = UnicodeAttribute()
    back = UnicodeAttribute()
    phonetic = UnicodeAttribute(null=True)
    example = UnicodeAttribute(null=True)
    created_at = UTCDateTimeAttribute()
    version = NumberAttribute()


class Account(Row):
    email = UnicodeAttribute()


class Profile(Row):
    first_name = UnicodeAttribute()
    last_name = UnicodeAttribute()
    timezone = UnicodeAttribute()
    daily_goal = NumberAttribute()
    created_at = UTCDateTimeAttribute()
    version = NumberAttribute()


class Head(Row):
    n = NumberAttribute()
    cards = NumberAttribute(null=True)
    new = NumberAttribute(null=True)


class Entry(Row):
    rating = UnicodeAttribute()
    at = UTCDateTimeAttribute()


def fetch(pk: str, *wanted: tuple[type[Row], str]) -> dict[str, Row]:
    """One BatchGetItem over items of several models."""
    kinds = {sk: kind for kind, sk in wanted}
    connection = Card._get_connection()
    answer = connection.batch_get_item([{"pk": pk, "sk": sk} for sk in kinds], consistent_read=True)
    raws = answer["Responses"][Row.Meta.table_name]
    return {raw["sk"]["S"]: kinds[raw["sk"]["S"]].from_raw_data(raw) for raw in raws}


def learner_of(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    token = credentials.credentials
    try:
        claims = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            ["RS256"],
            issuer=os.environ["PEER_ISSUER"],
            options={"verify_aud": False},
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error
    if claims["token_use"] != "access" or claims["client_id"] != os.environ["PARLEY_CLIENT_ID"]:
        raise HTTPException(401)
    return str(claims["sub"])


Learner = Annotated[str, Depends(learner_of)]


def instant(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, UTC)


def memory(raw: dict) -> Memory:
    return Memory(
        state=STATES[raw.get("s", "new")],
        step=raw.get("t", 0),
        stability=raw.get("S"),
        difficulty=raw.get("D"),
        due=instant(raw["d"]),
        last_review=instant(raw.get("l")),
    )


def card_body(sk: str, raw: dict, note: Note) -> CardBody:
    return CardBody(
        id=sk.removeprefix("CARD#"),
        note_id=note.id,
        deck_id=note.deck_id,
        front=note.front,
        back=note.back,
        phonetic=note.phonetic,
        example=note.example,
        state=raw.get("s", "new"),
        step=raw.get("t"),
        stability=raw.get("S"),
        difficulty=raw.get("D"),
        due_at=instant(raw["d"]),
        interval_days=int((raw["d"] - raw.get("l", raw["d"])) // 86_400_000_000),
        last_review_at=instant(raw.get("l")),
        reps=raw.get("r", 0),
        lapses=raw.get("f", 0),
        suspended="x" in raw,
        suspended_by=raw.get("x"),
        leech=bool(raw.get("L")),
        buried_until=instant(raw.get("b")),
        created_at=note.created_at,
        updated_at=instant(raw["u"]),
        version=int(note.version),
    )


@app.get("/flashcards")
def list_cards(learner: Learner) -> CardPage:
    pk = f"LEARNER#{learner}"
    begins = Card.sk.startswith("CARD#")
    cards = list(Card.query(pk, begins, consistent_read=True, limit=51))[:50]
    ids = [card.sk.removeprefix("CARD#") for card in cards]
    between = Note.sk.between(f"NOTE#{ids[0]}", f"NOTE#{ids[-1]}")
    notes = {note.id: note for note in Note.query(pk, between, consistent_read=True)}
    return CardPage(
        results=[
            card_body(card.sk, json.loads(card.m), notes[id_])
            for card, id_ in zip(cards, ids, strict=True)
        ]
    )


@app.get("/flashcards/due")
def due(learner: Learner) -> Queue:
    pk, now = f"LEARNER#{learner}", datetime.now(UTC)
    fetch(pk, (Profile, "PROFILE"), (Head, "HEAD"), (Row, "SCHEDULER"))
    ends_at = datetime(now.year, now.month, now.day, 23, 59, 59, tzinfo=UTC)
    until = ends_at.isoformat()
    cards = [
        card
        for state in ("L", "R", "N#0")
        for card in Card.queued.query(
            pk,
            Queued.lsi1.between(f"{state}#", f"{state}#{until}"),
            consistent_read=True,
            limit=101,
        )
    ][:20]
    notes = fetch(pk, *((Note, card.sk.replace("CARD", "NOTE")) for card in cards))
    results = []
    for card in cards:
        raw = json.loads(card.m)
        before, answers = memory(raw), {}
        for rating in Rating:
            after, _ = scheduler.review_card(before, rating, now)
            answers[rating.name.lower()] = {
                "due_at": after.due,
                "interval_days": (after.due - now).days,
                "state": after.state.name.lower(),
            }
        body = card_body(card.sk, raw, notes[card.sk.replace("CARD", "NOTE")])
        recall = scheduler.get_card_retrievability(before, now)
        results.append(DueCard(card=body, answers=answers, retrievability=recall))
    counts = Counts(learning=0, review=len(results), new=0)
    return Queue(results=results, counts=counts, day_ends_at=ends_at)


@app.get("/flashcards/{card_id}")
def get_card(card_id: str, learner: Learner) -> CardBody:
    pk, sk, note = f"LEARNER#{learner}", f"CARD#{card_id}", f"NOTE#{card_id}"
    items = fetch(pk, (Card, sk), (Note, note))
    if sk not in items:
        raise HTTPException(404)
    return card_body(sk, json.loads(items[sk].m), items[note])


@app.get("/profile")
def profile(learner: Learner) -> ProfileBody:
    wanted = ((Account, "ACCOUNT"), (Profile, "PROFILE"), (Head, "HEAD"), (Row, "SUPPRESSION"))
    items = fetch(f"LEARNER#{learner}", *wanted)
    own, head = items["PROFILE"], items["HEAD"]
    return ProfileBody(
        user_id=learner,
        email=items["ACCOUNT"].email,
        email_verified=False,
        first_name=own.first_name,
        last_name=own.last_name,
        timezone=own.timezone,
        daily_goal=int(own.daily_goal),
        cards_learned=int((head.cards or 0) - (head.new or 0)),
        created_at=own.created_at,
        version=int(own.version),
    )


@app.post("/flashcards/{card_id}/reviews", status_code=201)
def review(card_id: str, body: NewReview, learner: Learner) -> Reviewed:
    pk, now = f"LEARNER#{learner}", datetime.now(UTC)
    sk, note, log = f"CARD#{card_id}", f"NOTE#{card_id}", f"LOG#{card_id}#{body.id}"
    items = fetch(pk, (Profile, "PROFILE"), (Head, "HEAD"), (Row, "SCHEDULER"), (Card, sk),
                  (Note, note), (Entry, log))  # fmt: skip
    head, card = items["HEAD"], items[sk]
    raw = json.loads(card.m)
    after, _ = scheduler.review_card(memory(raw), Rating[body.rating.capitalize()], now)
    micros = int(now.timestamp() * 1e6)
    raw |= {
        "s": after.state.name.lower(),
        "S": after.stability,
        "D": after.difficulty,
        "d": int(after.due.timestamp() * 1e6),
        "l": micros,
        "r": raw.get("r", 0) + 1,
        "u": micros,
    }
    card.m = json.dumps(raw)
    as_read = Head.n == head.n
    with TransactWrite(connection=Card._get_connection().connection) as transaction:
        transaction.update(head, [Head.n.add(1)], condition=as_read)
        transaction.save(card)
        entry = Entry(pk, log, kind="log", rating=body.rating, at=body.reviewed_at)
        transaction.save(entry, condition=Entry.pk.does_not_exist())
    shown = body.model_dump(mode="json", by_alias=True) | {"cardId": card_id, "kind": "review"}
    return Reviewed(review=shown, card=card_body(sk, raw, items[note]))


class Address(Row):
    learner_id = UnicodeAttribute(null=True)


class Guesses(Row):
    all = NumberAttribute(null=True)
    expires_at = NumberAttribute(null=True)


class SignInRow(Row):
    at = UTCDateTimeAttribute()
    lsi4 = UnicodeAttribute(null=True)
    ip = UnicodeAttribute(null=True)
    agent = UnicodeAttribute(null=True)
    token = UnicodeAttribute(null=True)


class SignIn(SignInRow):
    queued, newest = Queued(), SignIns()


def guesses(email: str, source: str) -> list[tuple[Guesses, int]]:
    """The counters of guesses at an account and from a source, with the most of each."""
    account, network = (sha256(text.encode()).hexdigest()[:32] for text in (email, source))
    return [
        (Guesses(f"ATTEMPTS#login#{account}", "ATTEMPTS"), 20),
        (Guesses(f"ATTEMPTS#login_source#{network}", "ATTEMPTS"), 100),
    ]


def count(row: Guesses, number: int, most: int) -> None:
    until = Guesses.expires_at | (int(time.time()) + 900)
    row.update(
        [Guesses.all.add(number), Guesses.expires_at.set(until)],
        condition=Guesses.all.does_not_exist() | (Guesses.all < most),
    )


@app.post("/auth/login")
def login(body: Credentials, request: Request) -> SignedIn:
    source = request.client.host if request.client else ""
    email, agent, now = body.email.lower(), request.headers.get("user-agent", ""), datetime.now(UTC)
    counters = guesses(email, source)
    for row, most in counters:
        count(row, 1, most)
    with suppress(Address.DoesNotExist):
        Address.get(f"EMAIL#{email}", "EMAIL", consistent_read=True)
    client_id, secret = os.environ["PARLEY_CLIENT_ID"], os.environ["PARLEY_CLIENT_SECRET"]
    proof = hmac.new(secret.encode(), f"{email}{client_id}".encode(), sha256).digest()
    answer = cognito.admin_initiate_auth(
        UserPoolId=os.environ["PARLEY_USER_POOL_ID"],
        ClientId=client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={
            "USERNAME": email,
            "PASSWORD": body.password,
            "SECRET_HASH": b64encode(proof).decode(),
        },
    )
    tokens = answer["AuthenticationResult"]
    for row, most in counters:
        count(row, -1, most + 1)
    learner = jwt.decode(tokens["AccessToken"], options={"verify_signature": False})["sub"]
    pk = f"LEARNER#{learner}"
    user = profile(learner)
    list(SignIn.newest.query(pk, SignIn.lsi4.startswith("LOGIN#"), consistent_read=True, limit=51))
    place, fingerprint = {"ip": source, "agent": agent}, sha256(tokens["RefreshToken"].encode())
    rows = [
        SignInRow(pk, f"ACTIVITY#{uuid4()}", kind="activity", at=now, **place),
        SignInRow(f"KNOWN#{email}", source, kind="known", at=now),
        SignIn(pk, f"LOGIN#{uuid4()}", kind="login", lsi4=f"LOGIN#{now.isoformat()}", at=now,
               token=fingerprint.hexdigest(), **place),
    ]  # fmt: skip
    with TransactWrite(connection=Card._get_connection().connection) as transaction:
        for row in rows:
            transaction.save(row)
        transaction.condition_check(Account, pk, "ACCOUNT", condition=Account.pk.exists())
    return SignedIn(
        access_token=tokens["AccessToken"],
        id_token=tokens["IdToken"],
        refresh_token=tokens["RefreshToken"],
        expires_in=tokens["ExpiresIn"],
        user=user,
    )


lambda_handler = Mangum(app, lifespan="off")

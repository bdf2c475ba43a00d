"""AWS Lambda Powertools with validation, over the bare handler's functions."""

import os

import boto3_handler
import jwt
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.exceptions import UnauthorizedError
from models import (
    CardBody,
    CardPage,
    Credentials,
    NewReview,
    ProfileBody,
    Queue,
    Reviewed,
    SignedIn,
)

logger = Logger(service="peer", level=os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))
app = APIGatewayRestResolver(enable_validation=True)


def learner() -> str:
    try:
        return str(boto3_handler.learner_of(app.current_event.raw_event))
    except (KeyError, PermissionError, jwt.PyJWTError) as error:
        raise UnauthorizedError("no valid token") from error


@app.get("/flashcards")
def list_cards() -> CardPage:
    return CardPage.model_validate(boto3_handler.list_cards(learner()))


@app.get("/flashcards/due")
def due() -> Queue:
    return Queue.model_validate(boto3_handler.due(learner()))


@app.get("/flashcards/<card_id>")
def get_card(card_id: str) -> CardBody:
    return CardBody.model_validate(boto3_handler.get_card(learner(), card_id))


@app.get("/profile")
def profile() -> ProfileBody:
    return ProfileBody.model_validate(boto3_handler.profile(learner()))


@app.post("/flashcards/<card_id>/reviews")
def review(card_id: str, body: NewReview) -> tuple[Reviewed, int]:
    sent = body.model_dump(mode="json", by_alias=True)
    return Reviewed.model_validate(boto3_handler.review(learner(), card_id, sent)), 201


@app.post("/auth/login")
def login(body: Credentials) -> SignedIn:
    event = app.current_event
    source = event.request_context.identity.source_ip
    answer = boto3_handler.login(body.model_dump(), source, event.headers.get("User-Agent", ""))
    return SignedIn.model_validate(answer)


def lambda_handler(event, context):
    return app.resolve(event, context)

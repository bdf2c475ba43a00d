"""A model as the practice partner: asked once for each turn, within time and budgets, and checked.

Loaded when a session with a model is played. Nothing that a learner or a model has said goes to the
log or into a metric. AWS: "Converse" in the Amazon Bedrock API Reference.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from uuid import uuid4

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import learner_key
from config import aws, telemetry
from config.https import fetch
from config.problems import Problem, ServiceTimeout, ServiceUnavailable, UpstreamFailed
from config.records import dataclass
from config.telemetry import deadline
from learning.models.budgets import BudgetSpent, Units, reserve
from learning.models.practice import Session, Turn
from learning.practice import dialogue, leaks, prompt, verdict
from learning.practice.dialogue import Scores, State
from learning.practice.entry import accept_entry
from learning.practice.prompt import Entry, Proposal
from learning.practice.script import Script
from learning.practice.verdict import Accepted, Leaked, Refused
from learning.services.practice import LocalModelFailed, PartnerBudgetSpent
from learning.shapes import ShapeError, decode

log = logging.getLogger("parley.partner")

T = TypeVar("T")


class Counted(Protocol):
    """A call that was counted before it is made, as `learning.models.budgets.Reservation`."""

    def settle(self, used: Units) -> None: ...
    def release(self) -> None: ...


class Count(Protocol):
    """What counts a call before it is made, as `learning.models.budgets.reserve` does."""

    def __call__(self, learner_id: str, units: Units, *, now: datetime) -> Counted: ...


WITHIN_S = 20
"""What asking may take in all; a second call is made only if it can end within this."""
RECORDED_WITHIN_S = 1
"""What is left after it to begin the last of the writes, which no call may be too late for."""
LONGEST_CALL_S = aws.CONNECT_TIMEOUT_S + aws.READ_TIMEOUT_OF["bedrock-runtime"]
RUBRIC = Path(__file__).parents[1] / "content" / "rubric.json"
TURNS, TOKENS = "partner_turns", "partner_tokens"
CONSENT = "consent"  # why the script took a turn: there was none
READ, WRITTEN = "read", "written"  # parts of the tokens, which have no budget of their own
NESTED = "lists in lists without end"
MOST_TOKENS = 10_000_000  # no model has a longer context
REFUSALS = frozenset({"content_filtered", "guardrail_intervened"})
# What AWS answers, by its code: why the script takes the turn. Nothing is charged for these.
REASONS = {"ModelNotReadyException": "busy", "ModelTimeoutException": "timeout"}


class Asker(Protocol):
    """Whose budget a call is counted in, and the model that is asked: a session, say."""

    @property
    def learner_id(self) -> str: ...
    @property
    def model(self) -> str: ...


@dataclass(frozen=True)
class Person:
    """Somebody who asks outside of a session: for a draft of a scenario, or for a word."""

    learner_id: str
    model: str


class Unanswered(Exception):
    """The model gave no answer; `reason` is one of `learning.models.practice.FALLBACKS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


@dataclass(frozen=True)
class Spoken:
    """An answer as it came: the input of the tool call, None without one, and why it stopped."""

    fields: Any
    stop: str
    read: int | None
    written: int | None

    @property
    def used(self) -> dict[str, int]:
        """The units used; none where the answer does not tell."""
        if self.read is None or self.written is None:
            return {}
        return {TOKENS: self.read + self.written, READ: self.read, WRITTEN: self.written}


def answer_turn(
    session: Session,
    script: Script,
    turns: Sequence[Turn],
    *,
    text: str,
    native_language: str,
    count: Count = reserve,
) -> Accepted:
    """The model's answer to what the learner says after `turns`.

    Raises Unanswered, PartnerBudgetSpent, and in local runs LocalModelFailed.
    """
    _check_still_offered(session)
    secret, reached = _secret(session, len(turns)), list(session.reached)
    heard = dialogue.reply(script, cast("State", session.state), text).goals
    request = prompt.turn_request(
        script,
        session.role,
        text=text,
        history=_told(turns),
        opening=session.opening,
        reached=reached,
        native_language=native_language,
        secret=secret,
        model=str(session.model),
        guarded=bool(settings.PARTNER_GUARDRAIL),
    )

    def check(fields: Any) -> Accepted:
        return verdict.accept_answer(
            fields,
            script,
            session.role,
            text=text,
            reached=reached,
            heard=heard,
            native_language=native_language,
            secret=secret,
            told=prompt.RULES,
        )

    guarded = bool(settings.PARTNER_GUARDRAIL)
    answer = _ask(session, request, check, count, calls_after=int(guarded))
    if guarded:
        _guard(verdict.spoken(asdict(answer)))
    return answer


def try_turn(
    script: Script,
    role: str,
    turns: Sequence[Turn],
    *,
    learner_id: str,
    text: str,
    native_language: str,
    state: State,
    count: Count = reserve,
) -> Accepted:
    """The model's answer in a dialogue that is stored nowhere. Raises as `answer_turn`."""
    session = Session(
        learner_key(learner_id),
        f"{Session.PREFIX}trial",
        id=str(uuid4()),
        role=role,
        model=settings.PARTNER_MODEL,
        prompt_version=prompt.VERSION,
        opening=dialogue.opening(script, role)[0],
        state=dict(state),
        reached=dict.fromkeys(state["goals"], 1),
    )
    return answer_turn(
        session, script, turns, text=text, native_language=native_language, count=count
    )


def _told(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """What a model is told of turns. What was said without consent stays here for ever."""
    return [("…" if turn.fallback == CONSENT else turn.text, turn.reply) for turn in turns]


def judge(session: Session, script: Script, turns: Sequence[Turn], scripted: Scores) -> Scores:
    """The scores by the model's judgement, which stay near the script's own.

    Raises Unanswered and PartnerBudgetSpent. What a local model fails in is logged, so that the
    session can be completed without it.
    """
    _check_still_offered(session)
    secret = _secret(session, len(turns))
    request = prompt.judge_request(
        _told(turns),
        rubric=rubric(script.level),
        goals=[
            {"goal": goal.text, "turn": session.reached.get(goal.id)}
            for goal in script.part(session.role).goals
        ],
        language=script.language,
        secret=secret,
        model=str(session.model),
        guarded=bool(settings.PARTNER_GUARDRAIL),
    )
    said = ["" if turn.fallback == CONSENT else turn.text for turn in turns]

    def check(fields: Any) -> Scores:
        return verdict.accept_scores(
            fields, script, said, scripted, secret=secret, told=prompt.JUDGE
        )

    try:
        return _ask(session, request, check, reserve)
    except LocalModelFailed as failed:
        log.warning("no scores by the local model", extra={"fields": {"why": failed.detail}})
        raise Unanswered("unavailable") from failed


def draft(
    *, learner_id: str, title: str, level: str, language: str, accept: Callable[[Proposal], T]
) -> T:
    """What `accept` makes of the model's proposal for a scenario.

    It raises Refused for one that cannot be played; the model is then asked once more. Raises
    ServiceUnavailable, PartnerBudgetSpent, and in local runs LocalModelFailed.
    """
    author = Person(learner_id, settings.PARTNER_MODEL)
    request = prompt.draft_request(
        title=title,
        level=level,
        language=language,
        model=author.model,
        guarded=bool(settings.PARTNER_GUARDRAIL),
    )

    def check(fields: Any) -> tuple[Any, T]:
        try:
            proposal: Proposal = decode(Proposal, fields, {})
        except ShapeError as error:
            raise Refused(f"{error.path}: {error.message}") from None
        if any(map(leaks.has_unseen, verdict.spoken(fields))):
            raise Refused("it has signs that nobody sees")
        return fields, accept(proposal)

    guarded = bool(settings.PARTNER_GUARDRAIL)
    try:
        proposed, drafted = _ask(author, request, check, reserve, calls_after=int(guarded))
        if guarded:
            _guard(verdict.spoken(proposed))
        return drafted
    except Unanswered as unanswered:
        why = "The model gave no draft: try again, or write it yourself"
        raise ServiceUnavailable(why) from unanswered


def define(*, learner_id: str, text: str, context: str, source: str, target: str) -> Entry:
    """The model's entry for a text, in its context if it has one. Raises as `answer_turn`."""
    secret, guarded = secrets.token_hex(10), bool(settings.PARTNER_GUARDRAIL)
    asked: dict[str, Any] = {
        "text": text,
        "context": context,
        "source": source,
        "target": target,
        "secret": secret,
    }
    asker = Person(learner_id, settings.PARTNER_MODEL)
    request = prompt.entry_request(**asked, model=asker.model, guarded=guarded)

    def check(fields: Any) -> Entry:
        return accept_entry(fields, **asked, told=prompt.LOOKING_UP)

    entry = _ask(asker, request, check, reserve, calls_after=int(guarded))
    if guarded:
        _guard(verdict.spoken(asdict(entry)))
    return entry


@cache
def _rubric() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(RUBRIC.read_text("utf-8"))
    return loaded


def rubric(level: str) -> dict[str, Any]:
    """What the judge is told: the bands, and what is expected at a level."""
    return {"bands": _rubric()["bands"], "level": level, "expected": _rubric()["levels"][level]}


def _check_still_offered(session: Session) -> None:
    """Raises Unanswered for a session with another model or prompt than there now are."""
    if session.model != settings.PARTNER_MODEL or session.prompt_version != prompt.VERSION:
        raise Unanswered("retired")


def _secret(session: Session, turns: int) -> str:
    """A word of the prompt by which it shows when the model tells of it.

    Each turn has its own, so that it cannot be told in pieces over the turns.
    """
    return salted_hmac("learning.partner", f"{session.id} {turns}").hexdigest()[:20]


# --- Asking, within time and budgets --------------------------------------------------------------


def _ask(
    asker: Asker,
    request: prompt.Request,
    check: Callable[[Any], T],
    count: Count,
    *,
    calls_after: int = 0,
) -> T:
    """The checked answer, after one more call where the first answer is refused.

    Time is left for so many `calls_after` it. Raises Unanswered, PartnerBudgetSpent,
    LocalModelFailed.
    """
    until = _until() - calls_after * LONGEST_CALL_S
    try:
        try:
            return _attempt(asker, request, check, count, until)
        except Refused as refused:
            if isinstance(refused, Leaked):
                raise Unanswered("refused", str(refused)) from None
            again = prompt.repair_request(request, str(refused))
            return _repair(asker, again, check, count, until)
        except BudgetSpent as spent:
            raise PartnerBudgetSpent.of(spent, timezone.now()) from None
    except Unanswered as unanswered:
        if settings.LOCAL_MODEL_URL:
            raise LocalModelFailed(f"Its answer is of no use: {unanswered}") from unanswered
        _noted(unanswered)
        raise


def _repair(
    asker: Asker,
    request: prompt.Request,
    check: Callable[[Any], T],
    count: Count,
    until: float,
) -> T:
    try:
        return _attempt(asker, request, check, count, until)
    except Refused as refused:
        reason = "refused" if isinstance(refused, Leaked) else "invalid"
        raise Unanswered(reason, str(refused)) from None
    except BudgetSpent:
        raise Unanswered("invalid") from None


def _until() -> float:
    """When asking must be over, by `time.monotonic()`.

    The turn is written after it, and nothing is written that might end after the deadline.
    """
    latest = time.monotonic() + WITHIN_S
    answered_by = deadline.get()
    if answered_by is None:
        return latest
    return min(latest, answered_by - aws.longest_try_s() - RECORDED_WITHIN_S)


def _attempt(
    asker: Asker,
    request: prompt.Request,
    check: Callable[[Any], T],
    count: Count,
    until: float,
) -> T:
    """One call, counted before it is made and settled after it. Raises Refused and `_ask`'s."""
    if time.monotonic() + LONGEST_CALL_S > until:
        raise Unanswered("late")
    units = {TURNS: 1, TOKENS: prompt.most_tokens(request)}
    reservation = count(asker.learner_id, units, now=timezone.now())
    begun = time.monotonic()
    spoken = _call(asker, request, reservation, until)
    reservation.settle(spoken.used)
    telemetry.emit("PartnerSeconds", round(time.monotonic() - begun, 3), unit="Seconds")
    telemetry.emit("PartnerTokens", spoken.used.get(TOKENS, units[TOKENS]))
    if spoken.stop in REFUSALS:
        raise Unanswered("refused")
    if spoken.fields is None:
        raise Refused(f"there is no call of the tool ({spoken.stop})")
    try:
        return check(spoken.fields)
    except RecursionError:
        raise Refused(NESTED) from None


def _call(asker: Asker, request: prompt.Request, reservation: Counted, until: float) -> Spoken:
    if settings.LOCAL_MODEL_URL:
        try:
            return _call_local(request, str(asker.model), until)
        except LocalModelFailed:
            reservation.release()
            raise
    try:
        return _call_bedrock(request, str(asker.model))
    except ClientError as error:  # AWS has refused: nothing was done
        reservation.release()
        code = aws.error_code(error)
        log.error("a model was refused", extra={"fields": {"code": code}})
        raise Unanswered(REASONS.get(code, "unavailable")) from None
    except RecursionError:  # it has answered, and is paid
        return Spoken(None, NESTED, None, None)
    except aws.Throttled:
        reservation.release()
        raise Unanswered("busy") from None
    except ServiceTimeout as error:  # it may have answered, and be charged
        if isinstance(error.__cause__, ConnectTimeoutError):
            reservation.release()
        raise Unanswered("timeout") from None
    except ServiceUnavailable as error:
        if isinstance(error.__cause__, EndpointConnectionError):
            reservation.release()
        raise Unanswered("unavailable") from None
    except Problem:
        reservation.release()
        raise


def _call_bedrock(request: prompt.Request, model: str) -> Spoken:
    guardrail, _, version = settings.PARTNER_GUARDRAIL.partition(":")
    guarded = {"guardrailIdentifier": guardrail, "guardrailVersion": version}
    more = {"guardrailConfig": guarded} if guardrail else {}
    answer = aws.call("bedrock-runtime", "converse", modelId=model, **request, **more)
    content = answer.get("output", {}).get("message", {}).get("content", [])
    [tool] = request["toolConfig"]["tools"]
    uses = [block["toolUse"] for block in content if "toolUse" in block]
    fields = next(
        (use.get("input") for use in uses if use.get("name") == tool["toolSpec"]["name"]), None
    )
    used, stop = answer.get("usage", {}), str(answer.get("stopReason", "cut off"))
    # What the cache was read or written for is not among the input.
    cached = sum(used.get(name, 0) for name in ("cacheReadInputTokens", "cacheWriteInputTokens"))
    read = used["inputTokens"] + cached if "inputTokens" in used else None
    return Spoken(fields, stop, read, used.get("outputTokens"))


def _guard(texts: Iterable[str]) -> None:
    """Raises Unanswered for texts of which the guardrail refuses any.

    With Converse it looks at what the learner says, but not at the arguments of a tool call (AWS:
    "Include a guardrail with the Converse API"). In one block they are paid for as one text, by
    its thousands of characters.
    """
    guardrail, _, version = settings.PARTNER_GUARDRAIL.partition(":")
    said = "\n".join(dict.fromkeys(texts))
    try:
        outcome = aws.call(
            "bedrock-runtime",
            "apply_guardrail",
            guardrailIdentifier=guardrail,
            guardrailVersion=version,
            source="OUTPUT",
            content=[{"text": {"text": said}}],
        )
    except (ClientError, ServiceUnavailable):
        raise _noted(Unanswered("unavailable")) from None
    if outcome.get("action") != "NONE":
        raise _noted(Unanswered("refused"))


def _noted(unanswered: Unanswered) -> Unanswered:
    """The same, once it is counted and in the log: without what was said."""
    telemetry.emit("PartnerFallbacks")
    log.warning("no model answered", extra={"fields": {"reason": unanswered.reason}})
    return unanswered


# --- A server of OpenAI's API, in local runs ------------------------------------------------------


def _call_local(request: prompt.Request, model: str, until: float) -> Spoken:
    """Asks any server with `POST /chat/completions` and tools. Raises LocalModelFailed."""
    within_s = until - time.monotonic()  # such a model is slow: it may have all the time there is
    url = f"{settings.LOCAL_MODEL_URL}/chat/completions"
    body = json.dumps(_as_chat(request, model)).encode()
    try:
        answer = fetch(
            "POST",
            url,
            body=body,
            headers={"Content-Type": "application/json"},
            timeout_s=within_s,
        )
    except TimeoutError as error:
        raise LocalModelFailed(f"{url} took longer than {within_s:.0f} s") from error
    except (OSError, HTTPException) as error:
        raise LocalModelFailed(f"{url} cannot be reached") from error
    except UpstreamFailed as error:
        raise LocalModelFailed(f"{url} answered with more than any model writes") from error
    if answer.status != 200:
        raise LocalModelFailed(f"{url} answered {answer.status}")
    try:
        completion = json.loads(answer.body)
        choice = completion["choices"][0]
        calls = choice["message"].get("tool_calls") or []
        fields = json.loads(calls[0]["function"]["arguments"]) if calls else None
        used, stop = completion.get("usage") or {}, str(choice.get("finish_reason"))
        return Spoken(
            fields, stop, _count(used, "prompt_tokens"), _count(used, "completion_tokens")
        )
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise LocalModelFailed(f"{url} answered what is no completion with a tool call") from error


def _count(used: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens, if it is one that a model can have read or written."""
    tokens = used.get(name)
    return tokens if type(tokens) is int and 0 <= tokens <= MOST_TOKENS else None


def _as_chat(request: prompt.Request, model: str) -> dict[str, Any]:
    """A request of Converse as one of OpenAI's chat completions."""
    system = "\n\n".join(block["text"] for block in request["system"] if "text" in block)
    messages = [{"role": "system", "content": system}]
    for message in request["messages"]:
        [block] = message["content"]
        messages.append({"role": message["role"], "content": _text_of(block)})
    [tool] = request["toolConfig"]["tools"]
    described = tool["toolSpec"]
    function = {
        "name": described["name"],
        "description": described["description"],
        "parameters": described["inputSchema"]["json"],
    }
    return {
        "model": model,
        "messages": messages,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": described["name"]}},
        "max_tokens": request["inferenceConfig"]["maxTokens"],
        "temperature": request["inferenceConfig"]["temperature"],
    }


def _text_of(block: Mapping[str, Any]) -> str:
    return str(block.get("text") or block["guardContent"]["text"]["text"])

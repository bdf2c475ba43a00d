"""Practice: a learner plays a scenario with a partner, turn by turn, and keeps what they learnt."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any, Self, cast

from django.conf import settings
from django.utils import timezone
from ulid import ULID

from accounts.models import Head, Profile, learner_key
from accounts.services.changes import commit
from config.problems import (
    Conflict,
    FieldError,
    Filled,
    IdTaken,
    NotFound,
    PermissionDenied,
    TooManyRequests,
    UpstreamFailed,
)
from config.records import dataclass
from config.store.connection import retried, retrying
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import Delete, Put, transact
from learning.models.base import digest
from learning.models.budgets import BudgetSpent
from learning.models.cards import Card
from learning.models.content import PUBLISHED, Scenario, Usage
from learning.models.practice import (
    ABANDONED,
    ACTIVE,
    COMPLETED,
    Asked,
    Session,
    Turn,
)
from learning.practice import dialogue
from learning.practice.dialogue import Scores, Script, State
from learning.practice.script import MODEL, SCRIPTED
from learning.search_syntax import base_letters
from learning.services.cards import create_card
from learning.services.scenarios import (
    UnknownScenario,
    offered_partners,
    published_script,
    read_revision,
)

if TYPE_CHECKING:
    from learning.practice.verdict import Accepted

WAIT_S = 15.0
"""How long a turn waits for one that a model is being asked for."""
SCORES = "scores"  # what a model is asked for in place of a turn


class SessionClosed(Conflict):
    code, title = "SESSION_CLOSED", "The session is over"


class DialogueEnded(Conflict):
    code, title = "DIALOGUE_ENDED", "The partner has taken leave: complete the session"


class UnknownRole(Conflict):
    code, title = "UNKNOWN_ROLE", "The scenario has no dialogue for this role"


class UnknownTurn(Conflict):
    code, title = "UNKNOWN_TURN", "The session has no such turn"


class PhraseNotInTurn(Conflict):
    code, title = "PHRASE_NOT_IN_TURN", "The turn does not have this phrase"


class PartnerNotOffered(Conflict):
    code, title = "PARTNER_NOT_OFFERED", "This partner does not play the scenario here"


class ConsentNeeded(PermissionDenied):
    code = "CONSENT_NEEDED"
    title = "What you write or say may go to a model only once you have agreed"

    @classmethod
    def to(cls, name: str) -> Self:
        """For a consent by its name in the API."""
        return cls(
            Filled('Agree first: PATCH /profile/consents with {{"{name}": true}}', name=name)
        )


class PartnerBudgetSpent(TooManyRequests):
    code, title = "PARTNER_BUDGET_SPENT", "No more of the model's turns are left for now"

    @classmethod
    def of(cls, spent: BudgetSpent, now: datetime) -> "PartnerBudgetSpent":
        detail = (
            "Your turns with the model are used up for today. Go on with the scenario's script"
            if spent.scope == "learner"
            else "All turns with the model are used up for now. Go on with the scenario's script"
        )
        return cls(detail, retry_after_s=ceil((spent.until - now).total_seconds()))


class LocalModelFailed(UpstreamFailed):
    code, title = "LOCAL_MODEL_FAILED", "The model of this local run did not answer as it should"


class MeaningNeeded(Conflict):
    code, title = "MEANING_NEEDED", "The scenario does not know this phrase: say what it means"


@dataclass(frozen=True)
class SessionDetail:
    """A session with its script and, where they were asked for, its turns."""

    session: Session
    script: Script
    turns: list[Turn]


def start_session(*, learner_id: str, fields: Mapping[str, Any], now: datetime) -> SessionDetail:
    """Begins a session with the newest revision of a published scenario.

    One read and two writes. Sent again with the same id and fields it is the same session, with
    the turns it has by now: one query more. A crash between the writes leaves the scenario's use
    uncounted. Raises UnknownScenario, UnknownRole, PartnerNotOffered, ConsentNeeded, IdTaken.
    """
    session_id, request_digest = fields.get("id") or str(ULID()), digest(fields)
    return _begin(learner_id, session_id, request_digest, fields, now)


@retried(ConditionFailed)
def _begin(
    learner_id: str, session_id: str, request_digest: str, fields: Mapping[str, Any], now: datetime
) -> SessionDetail:
    keys = Scenario.key(fields["scenario_id"]), Session.key(learner_id, session_id)
    profile_key = learner_key(learner_id), Profile.SK
    asked_for = [profile_key] if fields.get("partner") == MODEL else []
    stored = batch_get(*keys, Head.key(learner_id), *asked_for)
    scenario, present = (stored.get(key) for key in keys)
    if present is not None:
        return _existing_session(learner_id, present, request_digest)
    if not isinstance(scenario, Scenario) or scenario.status != PUBLISHED:
        raise UnknownScenario.at("scenarioId")
    script = published_script(scenario)
    role = _role(script, fields.get("role"))
    partner = _partner(script, fields.get("partner"), stored.get(profile_key))
    opening, state = dialogue.opening(script, role)
    session = Session(
        *keys[1],
        id=session_id,
        scenario_id=scenario.id,
        revision=scenario.revision,
        script_digest=scenario.published_digest,
        title=script.title,
        language=script.language,
        level=fields.get("level") or script.level,
        role=role,
        goal=fields.get("goal"),
        partner=partner,
        opening=opening,
        state=dict(state),
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
    )
    if partner == MODEL:
        from learning.practice import prompt  # no other session loads it

        session.model, session.prompt_version = settings.PARTNER_MODEL, prompt.VERSION
    session.set_index_keys()
    commit(Head.among(learner_id, stored), Put(session, Session.pk.does_not_exist()))
    Usage.count_session(scenario.id)
    return SessionDetail(session, script, [])


def _existing_session(learner_id: str, present: Item | None, request_digest: str) -> SessionDetail:
    if not isinstance(present, Session) or present.request_digest != request_digest:
        raise IdTaken
    return SessionDetail(present, script_for(present), Turn.all_of(learner_id, present.id))


def _role(script: Script, wanted: str | None) -> str:
    """The role to play, by default the first that has a dialogue."""
    roles = [part.role for part in script.parts]
    if wanted is not None and wanted not in roles:
        message = Filled("Take one of: {choices}.", choices=", ".join(roles))
        raise UnknownRole(errors=[FieldError("role", "unknown_role", message)])
    return wanted or roles[0]


def _partner(script: Script, wanted: str | None, profile: Item | None) -> str:
    """The partner to play with: the script, unless a model was asked for."""
    partner, offered = wanted or SCRIPTED, offered_partners(script)
    if partner not in offered:
        message = Filled("Take one of: {choices}.", choices=", ".join(offered) or "none")
        raise PartnerNotOffered(errors=[FieldError("partner", "partner_not_offered", message)])
    if partner == MODEL and not consents(profile):
        raise ConsentNeeded.to("modelText")
    return partner


def consents(profile: Item | None) -> bool:
    """Whether the learner has agreed to a model reading their texts."""
    return isinstance(profile, Profile) and profile.model_text_at is not None


def script_for(session: Session) -> Script:
    """The script that the session began with, at the level it is played at: no read but a first."""
    script = read_revision(session.scenario_id, int(session.revision), session.script_digest)
    return replace(script, level=session.level)


def read_session(*, learner_id: str, session_id: str) -> SessionDetail:
    """A session with its turns: one read and one query. Raises NotFound."""
    session, _ = _read_session(learner_id, session_id)
    return SessionDetail(session, script_for(session), Turn.all_of(learner_id, session_id))


def add_turn(
    *,
    learner_id: str,
    session_id: str,
    turn_id: str | None,
    text: str,
    by_script: bool = False,
    now: datetime,
) -> tuple[SessionDetail, Turn]:
    """Says something to the partner: one read, one transaction.

    Of turns that come at once each gets the number after the one before, and an answer to just
    what was said until then; one sent again is not said twice. `by_script`: the script answers,
    where the partner is a model. Raises NotFound, IdTaken, SessionClosed, DialogueEnded, and for a
    model PartnerBudgetSpent and in local runs LocalModelFailed.
    """
    turn_id = turn_id or str(ULID())
    said = _say(learner_id, session_id, turn_id, text, now)
    return said or _say_to_model(learner_id, session_id, turn_id, text, by_script, now)


@retried(ConditionFailed)
def _say(
    learner_id: str, session_id: str, turn_id: str, text: str, now: datetime
) -> tuple[SessionDetail, Turn] | None:
    """The turn as the script answers it. None if a model is the partner."""
    session, head = _read_session(learner_id, session_id)
    if turn_id in session.turn_ids:
        return _repeated_turn(learner_id, session, turn_id, text)
    script = _open_script(session)
    if session.partner == MODEL:
        return None
    turn, state = _next_turn(session, script, turn_id, text, now)
    session.record_turn(turn, state)
    commit(head, Put(session), Put(turn, Turn.pk.does_not_exist()))
    return SessionDetail(session, script, [turn]), turn


def _repeated_turn(
    learner_id: str, session: Session, turn_id: str, text: str
) -> tuple[SessionDetail, Turn]:
    number = int(session.turn_ids.index(turn_id)) + 1
    turn = Turn.get_or_none(*Turn.key(learner_id, session.id, number))
    if turn is None or turn.text != text:
        raise IdTaken
    return SessionDetail(session, script_for(session), [turn]), turn


def _next_turn(
    session: Session, script: Script, turn_id: str, text: str, now: datetime
) -> tuple[Turn, dict[str, Any]]:
    """The next turn and where the dialogue then stands; the last one that may be is a farewell."""
    number = session.turn_count + 1
    answer = dialogue.reply(script, cast("State", session.state), text)
    line, state = answer.line, dict(answer.state)
    if number >= settings.PRACTICE_TURN_LIMIT and not state["ended"]:
        line, state["ended"] = dialogue.farewell(script, session.role), True
    turn = Turn(
        session.pk,
        f"{Turn.PREFIX}{session.id}#{number:04}",
        id=turn_id,
        number=number,
        text=text,
        reply=line,
        goals=list(answer.goals),
        corrections=[asdict(correction) for correction in answer.corrections],
        created_at=now,
    )
    return turn, state


# Turns that a model answers. The script is played beside it, so that it can go on at any moment.


class _BeingAskedError(Exception):
    """A model is being asked in the session: another turn has to wait for its answer."""


@dataclass(frozen=True)
class _Claim:
    """The right to ask the model, which one request of a session has at a time."""

    consents: bool
    native_language: str
    asked: Asked


@contextmanager
def _claimed(learner_id: str, session_id: str, what: str) -> Iterator[_Claim]:
    """Keeps others from asking while the block runs. Raises ServiceUnavailable."""

    def claim() -> _Claim:
        keys = Asked.key(learner_id, session_id), (learner_key(learner_id), Profile.SK)
        present = timezone.now()
        stored = batch_get(*keys)
        asked, profile = (stored.get(key) for key in keys)
        if isinstance(asked, Asked) and asked.is_waiting(present):
            raise _BeingAskedError
        native = profile.native_language if isinstance(profile, Profile) else None
        try:
            claimed = Asked.claim(learner_id, session_id, what, present)
        except ConditionFailed:
            raise _BeingAskedError from None
        return _Claim(consents(profile), native or "en", claimed)

    held = retrying(claim, after=_BeingAskedError, within_s=WAIT_S)
    try:
        yield held
    finally:
        with suppress(ConditionFailed):
            transact(Delete(held.asked, held.asked.mine()))


def _say_to_model(
    learner_id: str, session_id: str, turn_id: str, text: str, by_script: bool, now: datetime
) -> tuple[SessionDetail, Turn]:
    """The turn as the model answers it, or the script in its place.

    The model is asked once, whoever else writes meanwhile and however often the turn is sent.
    """
    with _claimed(learner_id, session_id, turn_id) as claim:
        session = _newest(learner_id, session_id)
        if turn_id in session.turn_ids:  # said while this one waited
            return _repeated_turn(learner_id, session, turn_id, text)
        script = _open_script(session)
        answer, fallback, may_ask_again = None, None, False
        if not by_script:
            turns = Turn.all_of(learner_id, session_id)
            answer, fallback = _model_answer(claim, session, script, turns, text)
            may_ask_again = not (turns and turns[-1].fallback)
        return _record(learner_id, session_id, turn_id, text, answer, fallback, may_ask_again, now)


def _newest(learner_id: str, session_id: str) -> Session:
    return _read_session(learner_id, session_id)[0]


def _model_answer(
    claim: _Claim, session: Session, script: Script, turns: list[Turn], text: str
) -> "tuple[Accepted | None, str | None]":
    """The model's answer, or why there is none."""
    from learning.services import partner  # no other session loads it

    if not claim.consents:
        return None, partner.CONSENT
    try:
        answer = partner.answer_turn(
            session, script, turns, text=text, native_language=claim.native_language
        )
    except partner.Unanswered as unanswered:
        return None, unanswered.reason
    return answer, None


@retried(ConditionFailed)
def _record(
    learner_id: str,
    session_id: str,
    turn_id: str,
    text: str,
    answer: "Accepted | None",
    fallback: str | None,
    may_ask_again: bool,
    now: datetime,
) -> tuple[SessionDetail, Turn]:
    session, head = _read_session(learner_id, session_id)
    script, before = _open_script(session), session.state
    turn, state = _next_turn(session, script, turn_id, text, now)
    turn.fallback = fallback
    missed = state["missed"] != before["missed"]
    if answer is not None:
        state = _take_over(turn, state, before, answer, dialogue.farewell(script, session.role))
    elif fallback and missed and may_ask_again and not state["ended"]:
        turn.reply = dialogue.say_again(script.language)
        state |= {"node": before["node"], "tries": before["tries"]}
    session.record_turn(turn, state)
    session.hints = list(answer.hints) if answer and not state["ended"] else None
    commit(head, Put(session), Put(turn, Turn.pk.does_not_exist()))
    return SessionDetail(session, script, [turn]), turn


def _take_over(
    turn: Turn,
    state: dict[str, Any],
    before: Mapping[str, Any],
    answer: "Accepted",
    farewell: str,
) -> dict[str, Any]:
    """Puts the model's answer into the turn; returns where the dialogue then stands."""
    turn.answered_by = MODEL
    turn.goals = list[Any](answer.goals)
    turn.corrections = [asdict(correction) for correction in answer.corrections]
    turn.new_words = [asdict(word) for word in answer.new_words]
    stand = dialogue.beside(cast("State", before), cast("State", state))
    at_limit = int(turn.number) >= min(settings.PRACTICE_TURN_LIMIT, dialogue.TURN_LIMIT)
    turn.reply = farewell if at_limit and not answer.ended else answer.reply
    goals = [*before["goals"], *answer.goals]
    return {**stand, "goals": goals, "ended": at_limit or answer.ended}


def give_hint(*, learner_id: str, session_id: str, now: datetime) -> tuple[str, Session]:
    """The next hint for the partner's last line, counted. Raises as `add_turn`."""
    text = ""

    def ask(session: Session) -> bool:
        nonlocal text
        script = _open_script(session)
        session.hints_used += 1
        session.hints_here += 1
        session.updated_at = now
        number = int(session.hints_here)
        if session.hints:  # the model's, from light to explicit
            text = session.hints[min(number, len(session.hints)) - 1]
        else:
            text = dialogue.hint(script, cast("State", session.state), number)
        return True

    session = _changed(learner_id, session_id, ask)
    return text, session


def complete_session(*, learner_id: str, session_id: str, now: datetime) -> SessionDetail:
    """Ends a session with its scores; a completed one stays as it is.

    A model that has played judges as well. Raises NotFound, and SessionClosed for an abandoned one.
    """
    completed = _complete(learner_id, session_id, now)
    if completed is not None:
        return completed
    with _claimed(learner_id, session_id, SCORES) as claim:
        judgement = _judgement(claim, learner_id, session_id)
        return cast("SessionDetail", _complete(learner_id, session_id, now, judgement))


@dataclass(frozen=True)
class _Judgement:
    """The scores by the model, or why there are none; neither where it has not played."""

    scores: Scores | None = None
    fallback: str | None = None


def _judgement(claim: _Claim, learner_id: str, session_id: str) -> _Judgement:
    from learning.services import partner

    session, turns = _newest(learner_id, session_id), Turn.all_of(learner_id, session_id)
    played = any(turn.answered_by == MODEL for turn in turns)
    if session.status != ACTIVE or not played:
        return _Judgement()
    if not claim.consents:
        return _Judgement(fallback=partner.CONSENT)
    scripted = _scripted_scores(session, turns)
    try:
        return _Judgement(partner.judge(session, script_for(session), turns, scripted))
    except partner.Unanswered as unanswered:
        return _Judgement(fallback=unanswered.reason)
    except PartnerBudgetSpent:
        return _Judgement(fallback="budget")


def _complete(
    learner_id: str,
    session_id: str,
    now: datetime,
    judgement: _Judgement | None = None,
) -> SessionDetail | None:
    """Completes a session; None while a model that has played has not been asked for scores."""
    turns: list[Turn] = []

    def close(session: Session) -> bool:
        if session.status not in (ACTIVE, COMPLETED):
            raise SessionClosed
        if session.status == ACTIVE and session.partner == MODEL and judgement is None:
            return False
        turns[:] = Turn.all_of(learner_id, session_id)
        if session.status == COMPLETED:
            return False
        judged = judgement.scores if judgement else None
        session.scores = _stored_scores(judged or _scripted_scores(session, turns))
        session.scored_by = MODEL if judged else None
        session.scoring_fallback = judgement.fallback if judgement else None
        session.finish(COMPLETED, now)
        return True

    session = _changed(learner_id, session_id, close)
    if session.status != COMPLETED:
        return None
    return SessionDetail(session, script_for(session), turns)


def _scripted_scores(session: Session, turns: Sequence[Turn]) -> Scores:
    """The scores by the script; with a model as partner the goals are those that it has seen."""
    script, said = script_for(session), [turn.text for turn in turns]
    scores = dialogue.score(script, session.role, said, free=session.partner == MODEL)
    if session.partner != MODEL:
        return scores
    part = script.part(session.role)
    reached = {goal: number - 1 for goal, number in session.reached.items()}
    return replace(
        scores,
        task=dialogue.task_score(part, reached, said),
        goals=dialogue.goals_score(part, reached),
    )


def _stored_scores(judged: Scores) -> dict[str, Any]:
    """Scores as they are kept: turns by their numbers, evidence so that it can be translated."""
    scores = asdict(judged)
    for score in scores.values():
        score["evidence"] = [_stored_evidence(**each) for each in score["evidence"]]
    return scores


def _stored_evidence(turn: int, what: str) -> dict[str, Any]:
    stored = {"turn": turn + 1, "what": what}
    return stored | {"filled": [what.template, what.values]} if isinstance(what, Filled) else stored


def abandon_session(*, learner_id: str, session_id: str, now: datetime) -> Session:
    """Ends a session without scores; an abandoned one stays as it is.

    Raises NotFound, and SessionClosed for a completed one.
    """

    def close(session: Session) -> bool:
        if session.status == ABANDONED:
            return False
        if session.status != ACTIVE:
            raise SessionClosed
        session.finish(ABANDONED, now)
        return True

    return _changed(learner_id, session_id, close)


def save_phrase(
    *, learner_id: str, session_id: str, fields: Mapping[str, Any], now: datetime
) -> Card:
    """Makes a flashcard of a phrase that stands in a turn: one read, one transaction.

    Without a back it is that of the scenario's own useful phrase; without an example, the line
    with the phrase. Idempotent as `create_card`. Raises NotFound, UnknownTurn, PhraseNotInTurn,
    MeaningNeeded, NoSuchDeck, IdTaken.
    """
    rest = {name: value for name, value in fields.items() if name != "turn"}
    number, front = fields["turn"], base_letters(fields["front"])
    keys = Session.key(learner_id, session_id), Turn.key(learner_id, session_id, number)
    stored = batch_get(*keys)
    session, turn = (stored.get(key) for key in keys)
    if not isinstance(session, Session):
        raise NotFound
    if not isinstance(turn, Turn):
        message = "The session has no turn of this number."
        raise UnknownTurn(errors=[FieldError("turn", "unknown_turn", message)])
    lines = [turn.text, turn.reply, *(item["sentence"] for item in turn.corrections)]
    if number == 1:
        lines.append(session.opening)
    lines_with_phrase = [
        line for line in lines if front and front in base_letters(line)
    ]  # accents alone fold away
    if not lines_with_phrase:
        message = "The turn does not have this phrase."
        raise PhraseNotInTurn(errors=[FieldError("front", "phrase_not_in_turn", message)])
    meanings = {base_letters(word["term"]): word["meaning"] for word in turn.new_words or ()}
    meanings |= {base_letters(item.text): item.meaning for item in script_for(session).phrases}
    rest["back"] = rest.get("back") or meanings.get(front)
    if rest["back"] is None:
        message = "Say what the phrase means."
        raise MeaningNeeded(errors=[FieldError("back", "required", message)])
    rest["example"] = rest.get("example") or lines_with_phrase[0]
    source = {"source_session_id": session_id, "source_turn": number}
    return create_card(learner_id=learner_id, fields={**rest, **source}, now=now)


# The parts of these


def _read_session(learner_id: str, session_id: str) -> tuple[Session, Head]:
    """A session and the learner's head: one read. Raises NotFound."""
    key = Session.key(learner_id, session_id)
    stored = batch_get(key, Head.key(learner_id))
    session = stored.get(key)
    if not isinstance(session, Session):
        raise NotFound
    return session, Head.among(learner_id, stored)


def _open_script(session: Session) -> Script:
    """The script of a session in which there is something left to say."""
    if session.status != ACTIVE:
        raise SessionClosed
    if session.ended:
        raise DialogueEnded
    return script_for(session)


@retried(ConditionFailed)
def _changed(learner_id: str, session_id: str, change: Callable[[Session], bool]) -> Session:
    """The session after a change that is made anew whenever another one came first.

    `change` answers whether it changed anything.
    """
    session, head = _read_session(learner_id, session_id)
    if change(session):
        commit(head, Put(session))
    return session

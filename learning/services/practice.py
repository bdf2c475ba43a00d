"""Practice: a learner plays a scenario with a partner, turn by turn, and keeps what they learnt."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from ulid import ULID

from accounts.models import Head
from accounts.services.changes import commit
from config.problems import Conflict, FieldError, IdTaken, NotFound
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, Item, batch_get
from config.store.transactions import Put
from learning.models.base import digest
from learning.models.cards import Card
from learning.models.content import PUBLISHED, Scenario, Usage
from learning.models.practice import ABANDONED, ACTIVE, COMPLETED, Session, Turn
from learning.practice import dialogue
from learning.practice.dialogue import Partner, Script
from learning.search_syntax import base_letters
from learning.services.cards import create_card
from learning.services.scenarios import UnknownScenario, published_script, read_revision

SCRIPTED = "scripted"
PARTNERS: dict[str, Partner] = {SCRIPTED: dialogue}


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
    uncounted. Raises UnknownScenario, UnknownRole, IdTaken.
    """
    session_id, request_digest = fields.get("id") or str(ULID()), digest(fields)
    return _begin(learner_id, session_id, request_digest, fields, now)


@retried(ConditionFailed)
def _begin(
    learner_id: str, session_id: str, request_digest: str, fields: Mapping[str, Any], now: datetime
) -> SessionDetail:
    keys = Scenario.key(fields["scenario_id"]), Session.key(learner_id, session_id)
    stored = batch_get(*keys, Head.key(learner_id))
    scenario, present = (stored.get(key) for key in keys)
    if present is not None:
        return _existing_session(learner_id, present, request_digest)
    if not isinstance(scenario, Scenario) or scenario.status != PUBLISHED:
        raise UnknownScenario.at("scenarioId")
    script = published_script(scenario)
    role = _role(script, fields.get("role"))
    opening, state = PARTNERS[SCRIPTED].opening(script, role)
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
        partner=SCRIPTED,
        opening=opening,
        state=dict(state),
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
    )
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
        message = f"Take one of: {', '.join(roles)}."
        raise UnknownRole(errors=[FieldError("role", "unknown_role", message)])
    return wanted or roles[0]


def script_for(session: Session) -> Script:
    """The script that the session began with, at the level it is played at: no read but a first."""
    script = read_revision(session.scenario_id, int(session.revision), session.script_digest)
    return replace(script, level=session.level)


def read_session(*, learner_id: str, session_id: str) -> SessionDetail:
    """A session with its turns: one read and one query. Raises NotFound."""
    session, _ = _read_session(learner_id, session_id)
    return SessionDetail(session, script_for(session), Turn.all_of(learner_id, session_id))


def add_turn(
    *, learner_id: str, session_id: str, turn_id: str | None, text: str, now: datetime
) -> tuple[SessionDetail, Turn]:
    """Says something to the partner: one read, one transaction.

    Of turns that come at once each gets the number after the one before, and an answer to just
    what was said until then; one sent again is not said twice. Raises NotFound, IdTaken,
    SessionClosed, DialogueEnded.
    """
    return _say(learner_id, session_id, turn_id or str(ULID()), text, now)


@retried(ConditionFailed)
def _say(
    learner_id: str, session_id: str, turn_id: str, text: str, now: datetime
) -> tuple[SessionDetail, Turn]:
    session, head = _read_session(learner_id, session_id)
    if turn_id in session.turn_ids:
        return _repeated_turn(learner_id, session, turn_id, text)
    script = _open_script(session)
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
    answer = PARTNERS[session.partner].reply(script, session.state, text)
    line, state = answer.line, dict(answer.state)
    if number >= settings.PRACTICE_TURN_LIMIT and not state["ended"]:
        line, state["ended"] = script.part(session.role).farewell, True
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


def give_hint(*, learner_id: str, session_id: str, now: datetime) -> tuple[str, Session]:
    """The next hint for the partner's last line, counted. Raises as `add_turn`."""
    text = ""

    def ask(session: Session) -> bool:
        nonlocal text
        script = _open_script(session)
        session.hints_used += 1
        session.hints_here += 1
        session.updated_at = now
        text = PARTNERS[session.partner].hint(script, session.state, int(session.hints_here))
        return True

    session = _changed(learner_id, session_id, ask)
    return text, session


def complete_session(*, learner_id: str, session_id: str, now: datetime) -> SessionDetail:
    """Ends a session with its scores; a completed one stays as it is.

    Raises NotFound, and SessionClosed for an abandoned one.
    """
    turns: list[Turn] = []

    def close(session: Session) -> bool:
        turns[:] = Turn.all_of(learner_id, session_id)
        if session.status == COMPLETED:
            return False
        if session.status != ACTIVE:
            raise SessionClosed
        answers = [turn.text for turn in turns]
        session.scores = _scores(session, answers)
        session.finish(COMPLETED, now)
        return True

    session = _changed(learner_id, session_id, close)
    return SessionDetail(session, script_for(session), turns)


def _scores(session: Session, answers: list[str]) -> dict[str, Any]:
    """The partner's scores as they are kept, with turns by their numbers."""
    judged = PARTNERS[session.partner].score(script_for(session), session.role, answers)
    scores = asdict(judged)
    for score in scores.values():
        score["evidence"] = [
            {"turn": evidence["turn"] + 1, "what": evidence["what"]}
            for evidence in score["evidence"]
        ]
    return scores


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
    meanings = {base_letters(item.text): item.meaning for item in script_for(session).phrases}
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

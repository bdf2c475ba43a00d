"""Turns that learners show to staff, who see no others."""

from datetime import datetime

from accounts.models import Head, audit
from accounts.models.audit import StaffMember
from accounts.services.changes import commit
from config.problems import FieldError, NotFound
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Put, transact
from learning.models.practice import Report, Session, Turn
from learning.services.practice import UnknownTurn


@retried(ConditionFailed)
def report_turn(
    learner_id: str, session_id: str, *, number: int, reason: str, now: datetime
) -> tuple[Session, Turn]:
    """Shows a turn to staff: one read, one transaction.

    Shown again it stays as it is, but for a reason, which takes the place of the one before. A turn
    whose report has lapsed is shown anew. Raises NotFound, UnknownTurn.
    """
    place = learner_id, session_id, number
    keys = Session.key(learner_id, session_id), Turn.key(*place), Report.key(*place)
    stored = batch_get(*keys, Head.key(learner_id))
    session, turn, report = (stored.get(key) for key in keys)
    if not isinstance(session, Session):
        raise NotFound
    if not isinstance(turn, Turn):
        message = "The session has no turn of this number."
        raise UnknownTurn(errors=[FieldError("turn", "unknown_turn", message)])
    if not isinstance(report, Report) or report.has_lapsed(now):
        turn.reported_at = now
        report = Report(
            *Report.key(*place),
            session_id=session_id,
            number=number,
            reason=reason,
            at=now,
            expires_at=int(now.timestamp()) + Report.KEPT_S,
        )
        report.set_index_keys()
        commit(Head.among(learner_id, stored), Put(turn), Put(report))
    elif reason and reason != report.reason:
        report.reason = reason
        commit(Head.among(learner_id, stored), Put(report))
    return session, turn


@dataclass(frozen=True)
class ReportedTurn:
    """A report with the turn that it shows, and the session of that."""

    report: Report
    session: Session
    turn: Turn


def view_report(report_id: str, *, by: StaffMember, now: datetime) -> ReportedTurn:
    """A turn that its learner has reported; the look is in both trails. Raises NotFound."""
    report = Report.by_id(report_id)
    if report is None or report.has_lapsed(now):
        raise NotFound
    learner_id, session_id = report.learner_id, report.session_id
    keys = (
        Session.key(learner_id, session_id),
        Turn.key(learner_id, session_id, int(report.number)),
    )
    stored = batch_get(*keys)
    session, turn = (stored.get(key) for key in keys)
    if not isinstance(session, Session) or not isinstance(turn, Turn):
        raise NotFound
    transact(*audit.staff_action(by, "reported_turn_viewed", f"users/{learner_id}", now=now))
    return ReportedTurn(report, session, turn)

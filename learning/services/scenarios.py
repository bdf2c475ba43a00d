"""Scenarios: staff edit a draft and publish it, learners play the revision they began with."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from ulid import ULID

from accounts.models import Profile, audit, learner_key
from accounts.models.audit import StaffMember
from config.formats import CEFR_LEVELS
from config.problems import (
    Conflict,
    FieldError,
    Filled,
    IdTaken,
    NotFound,
    ValidationFailed,
    check_version,
)
from config.records import dataclass
from config.store.connection import retried
from config.store.items import ConditionFailed, batch_get
from config.store.transactions import Delete, Put, Write, transact
from learning.models.base import digest
from learning.models.content import ARCHIVED, PUBLISHED, Draft, Revision, Scenario, Usage
from learning.models.practice import COMPLETED, Session
from learning.practice import dialogue
from learning.practice.dialogue import Script, ScriptError
from learning.practice.script import MODEL

KIND = "scenarios"  # as the API calls them
MAX_SCRIPT_BYTES = 200_000  # an item of the table has at most 400 KB

Fields = Mapping[str, Any]


class ScenarioPublished(Conflict):
    code, title = "SCENARIO_PUBLISHED", "Sessions may need this scenario: archive it instead"


class UnknownScenario(Conflict):
    code, title = "UNKNOWN_SCENARIO", "There is no scenario with this id"

    @classmethod
    def at(cls, field: str) -> "UnknownScenario":
        return cls(errors=[FieldError(field, "unknown_scenario", cls.title)])


@dataclass(frozen=True)
class ScenarioDetail:
    """A scenario with the script that its reader sees; `draft` is what staff edit, for staff."""

    scenario: Scenario
    script: Script
    sessions: int
    draft: Fields | None = None


def read_scenario(scenario_id: str, *, for_staff: bool) -> ScenarioDetail:
    """A published scenario: one round trip, and one more for a revision that is not cached.

    Staff see any scenario, before its first publication as its draft has it. Raises NotFound.
    """
    scenario, draft, sessions = _stored(scenario_id, for_staff=for_staff)
    if scenario.status != PUBLISHED and not for_staff:
        raise NotFound
    return ScenarioDetail(scenario, _shown(scenario, draft), sessions, draft)


def read_draft(scenario_id: str) -> ScenarioDetail:
    """A scenario with its draft as the script, to be tried before anyone sees it. For staff alone.

    Raises NotFound, and ValidationFailed for a draft that a later rule refuses.
    """
    scenario, draft, sessions = _stored(scenario_id, for_staff=True)
    return ScenarioDetail(scenario, _checked(scenario, draft or {}), sessions, draft)


def read_published(scenario: Scenario) -> Fields:
    """The newest published script as it is stored; empty before the first publication."""
    revision = Revision.of(scenario.id, int(scenario.revision)) if scenario.revision else None
    return revision.script if revision else {}


def _stored(scenario_id: str, *, for_staff: bool) -> tuple[Scenario, Fields | None, int]:
    """A scenario, for staff its draft, and how many sessions began with it. Raises NotFound."""
    keys = [Scenario.key(scenario_id), Usage.key(scenario_id)]
    stored = batch_get(*keys, *([Draft.key(scenario_id)] if for_staff else []))
    scenario, usage = (stored.get(key) for key in keys)
    draft = stored.get(Draft.key(scenario_id))
    if not isinstance(scenario, Scenario):
        raise NotFound
    return (
        scenario,
        draft.script if isinstance(draft, Draft) else None,
        int(usage.sessions) if isinstance(usage, Usage) else 0,
    )


def _shown(scenario: Scenario, draft: Fields | None) -> Script:
    """The newest published script, before the first publication the draft's."""
    return published_script(scenario) if scenario.revision else _checked(scenario, draft or {})


def published_script(scenario: Scenario) -> Script:
    """The newest published script."""
    return read_revision(scenario.id, int(scenario.revision), scenario.published_digest or "")


@lru_cache(maxsize=64)
def read_revision(scenario_id: str, number: int, _digest: str) -> Script:
    """A published script, kept in this process: it never changes. Raises NotFound.

    With its digest in the key, a process that is pointed at another table finds that one's.
    """
    revision = Revision.of(scenario_id, number)
    if revision is None:
        raise NotFound
    return dialogue.parse({**revision.script, "id": scenario_id, "order": 0})


def offers_model() -> bool:
    """Whether a model can be the partner here: there is one, and on prod its guardrail too."""
    if settings.LOCAL_MODEL_URL:
        return bool(settings.STAGE == "local" and settings.PARTNER_MODEL)
    guarded = settings.PARTNER_GUARDRAIL or settings.STAGE != "prod"
    return bool(settings.PARTNER == "bedrock" and settings.PARTNER_MODEL and guarded)


def offered_partners(script: Script) -> list[str]:
    """Who may play the partner of a scenario, of those that there are here."""
    return [partner for partner in script.partners if partner != MODEL or offers_model()]


PRACTISED = 100  # sessions that are looked at for what comes next


def next_scenarios(
    *,
    learner_id: str,
    language: str | None = None,
    level: str | None = None,
    context: str | None = None,
    search: str | None = None,
    limit: int,
) -> list[Scenario]:
    """What a learner may practise next: one read, a query of sessions, one of each level.

    First what they have begun without reaching its goals, then what is new, last what they have
    reached the longest ago; each by how near it is to their level, their own and the next. The
    levels are by default these two, and the language is the one that they study.
    """
    profile_key = learner_key(learner_id), Profile.SK
    profile = batch_get(profile_key).get(profile_key)
    own, studied = CEFR_LEVELS[0], None
    if isinstance(profile, Profile):
        own, studied = profile.current_level or own, profile.target_language
    wanted = language or (studied.partition("-")[0].lower() if studied else None)
    place = CEFR_LEVELS.index(own)
    offered = [
        scenario
        for each in ([level] if level else CEFR_LEVELS[place : place + 2])
        for scenario in Scenario.catalogue(
            status=PUBLISHED,
            level=each,
            language=wanted,
            context=context,
            search=search,
            limit=100,
            start=None,
        ).items
    ]
    newest: dict[str, Session] = {}
    for session in Session.newest(learner_id, limit=PRACTISED, start=None).items:
        newest.setdefault(session.scenario_id, session)

    def rank(scenario: Scenario) -> tuple[int, float, str, int]:
        session = newest.get(scenario.id)
        if session is None:
            return 1, 0.0, scenario.level, int(scenario.order)
        done = session.status == COMPLETED and session.scores["goals"]["value"] == 100
        at = session.created_at.timestamp() if done else 0.0
        return 2 if done else 0, at, scenario.level, int(scenario.order)

    return sorted(offered, key=rank)[:limit]


def create(*, fields: Fields, by: StaffMember, now: datetime) -> ScenarioDetail:
    """Makes a draft; sent again with the same id and fields it is the same one.

    Raises ValidationFailed naming the field of a script that breaks a rule, and IdTaken.
    """
    scenario_id = fields.get("id") or str(ULID()).lower()
    return _create(scenario_id, fields, request_digest=digest(fields), by=by, now=now)


def duplicate(
    *, scenario_id: str, new_id: str | None, title: str | None, by: StaffMember, now: datetime
) -> ScenarioDetail:
    """Makes a draft from the draft of another scenario. Idempotent as `create`; raises NotFound."""
    detail = read_scenario(scenario_id, for_staff=True)
    script = dict(detail.draft or {})
    fields = {
        **script,
        "title": title or f"{script['title'][:70]} (copy)",
        "order": detail.scenario.order,
    }
    request_digest = digest({"duplicate_of": scenario_id, "title": title})
    return _create(
        new_id or str(ULID()).lower(), fields, request_digest=request_digest, by=by, now=now
    )


def change(
    *,
    scenario_id: str,
    fields: Fields,
    partial: bool,
    expected_version: int | None,
    by: StaffMember,
    now: datetime,
) -> ScenarioDetail:
    """Replaces the draft, or with `partial` those of its fields that are given.

    What learners see stays as it is until the next publication, but for the order. Raises
    ValidationFailed, NotFound, PreconditionFailed.
    """

    def edit(scenario: Scenario, script: Fields) -> Edit:
        edited, order = _split_fields({**(script if partial else {}), **fields})
        if order is not None:
            scenario.order = order
        checked = _checked(scenario, edited)
        draft = _draft_write(scenario, edited)
        action = _staff_action(by, "scenario_changed", scenario_id, now)
        return Edit([draft, *action], edited, None if scenario.revision else checked)

    return _edit(scenario_id, edit, expected_version, now)


def publish(
    *, scenario_id: str, expected_version: int | None, by: StaffMember, now: datetime
) -> ScenarioDetail:
    """Freezes the draft as the next revision and shows it in the catalogue.

    An unchanged draft makes no second revision. Raises NotFound and PreconditionFailed.
    """

    def edit(scenario: Scenario, script: Fields) -> Edit | None:
        if scenario.status == PUBLISHED and not scenario.has_unpublished_changes:
            return None
        publication = _publish_write(scenario, script, now)
        action = _staff_action(by, "scenario_published", scenario_id, now)
        return Edit([*publication, *action], script)

    return _edit(scenario_id, edit, expected_version, now)


def archive(
    *, scenario_id: str, expected_version: int | None, by: StaffMember, now: datetime
) -> ScenarioDetail:
    """Takes a scenario out of the catalogue; sessions that began with it go on.

    Raises NotFound and PreconditionFailed.
    """

    def edit(scenario: Scenario, script: Fields) -> Edit | None:
        if scenario.status == ARCHIVED:
            return None
        scenario.status = ARCHIVED
        scenario.set_index_keys()
        return Edit(_staff_action(by, "scenario_archived", scenario_id, now), script)

    return _edit(scenario_id, edit, expected_version, now)


@retried(ConditionFailed)
def delete(
    *, scenario_id: str, expected_version: int | None, by: StaffMember, now: datetime
) -> None:
    """Removes a scenario that was never published.

    Raises NotFound, PreconditionFailed, ScenarioPublished.
    """
    scenario = Scenario.of(scenario_id)
    if scenario is None:
        raise NotFound
    check_version(expected_version, int(scenario.version))
    if scenario.revision:
        raise ScenarioPublished
    deed = _staff_action(by, "scenario_deleted", scenario_id, now)
    transact(Delete(scenario), Delete(Draft(*Draft.key(scenario_id))), *deed)
    return


@retried(ConditionFailed)
def reorder(*, ids: Sequence[str], by: StaffMember, now: datetime) -> list[Scenario]:
    """Puts scenarios into this order, on the places that they have among all others.

    One read, one transaction. Raises UnknownScenario, and ValidationFailed for one given twice.
    """
    stored = batch_get(*map(Scenario.key, ids))
    scenarios = [_known(stored.get(Scenario.key(id)), i) for i, id in enumerate(ids)]
    if len(stored) < len(ids):
        raise ValidationFailed.of("ids", "not_unique", "Give each scenario once.")
    place = -1
    for scenario, order in zip(
        scenarios, sorted(int(scenario.order) for scenario in scenarios), strict=True
    ):
        place = max(place + 1, order)
        scenario.order, scenario.updated_at = place, now
        scenario.set_index_keys()
    transact(*map(Put, scenarios), *audit.staff_action(by, "scenarios_reordered", KIND, now=now))
    return scenarios


def _known(item: object, number: int) -> Scenario:
    if not isinstance(item, Scenario):
        raise UnknownScenario.at(f"ids.{number}")
    return item


Loaded = Literal["added", "updated", "unchanged", "kept"]


def load_scenarios(pack: Sequence[Fields], *, now: datetime) -> dict[str, Loaded]:
    """Brings scenarios of our own pack into the catalogue; answers what became of each id.

    One that staff have changed since is kept as they left it. Costs one read for 100 scenarios
    that are there already. Raises ValidationFailed.
    """
    stored = batch_get(*(Scenario.key(fields["id"]) for fields in pack))
    outcomes: dict[str, Loaded] = {}
    for fields in pack:
        present = stored.get(Scenario.key(fields["id"]))
        outcomes[fields["id"]] = _load(fields, present, now)
    return outcomes


def _load(fields: Fields, present: object, now: datetime) -> Loaded:
    script, _ = _split_fields(fields)
    of_pack = digest(script)
    if not isinstance(present, Scenario):
        scenario, _, writes = _new(fields["id"], fields, request_digest=of_pack, now=now)
        scenario.pack_digest = of_pack
        writes += _publish_write(scenario, script, now)
        try:
            transact(Put(scenario, Scenario.pk.does_not_exist()), *writes)
        except ConditionFailed:
            return "unchanged"  # added at this very moment
        return "added"
    if present.pack_digest == of_pack:
        return "unchanged"
    if present.pack_digest != present.draft_digest:
        return "kept"

    def edit(scenario: Scenario, _: Fields) -> Edit:
        checked = _checked(scenario, script)
        scenario.pack_digest = of_pack
        writes: list[Write] = [_draft_write(scenario, script)]
        if scenario.status == PUBLISHED:
            writes += _publish_write(scenario, script, now)
        return Edit(writes, script, checked)

    _edit(fields["id"], edit, int(present.version), now)
    return "updated"


# The parts of these


def _split_fields(fields: Fields) -> tuple[dict[str, Any], int | None]:
    """The script without id and order, which the catalogue's item holds, and the order if given."""
    script = {name: value for name, value in fields.items() if name not in ("id", "order")}
    return script, fields.get("order")


def _checked(scenario: Scenario, script: Fields) -> Script:
    """The script, which can be played to its end. Raises ValidationFailed."""
    if len(json.dumps(script).encode()) > MAX_SCRIPT_BYTES:
        message = Filled("A script has at most {most} bytes of JSON.", most=MAX_SCRIPT_BYTES)
        raise ValidationFailed.of("parts", "too_large", message)
    try:
        return dialogue.parse({**script, "id": scenario.id, "order": int(scenario.order)})
    except ScriptError as error:
        field = error.path.replace("[", ".").replace("]", "")
        raise ValidationFailed.of(field, "invalid_script", error.why) from error


def _new(
    scenario_id: str, fields: Fields, *, request_digest: str, now: datetime
) -> tuple[Scenario, Script, list[Write]]:
    """A draft's item in the catalogue, its script, and the write of that."""
    script, order = _split_fields(fields)
    scenario = Scenario(
        *Scenario.key(scenario_id),
        id=scenario_id,
        order=order or 0,
        request_digest=request_digest,
        created_at=now,
        updated_at=now,
    )
    checked = _checked(scenario, script)
    return scenario, checked, [_draft_write(scenario, script)]


def _staff_action(
    by: StaffMember, action: audit.Action, scenario_id: str, now: datetime
) -> list[Write]:
    return audit.staff_action(by, action, f"{KIND}/{scenario_id}", now=now)


def _create(
    scenario_id: str, fields: Fields, *, request_digest: str, by: StaffMember, now: datetime
) -> ScenarioDetail:
    scenario, checked, writes = _new(scenario_id, fields, request_digest=request_digest, now=now)
    writes += _staff_action(by, "scenario_created", scenario_id, now)
    try:
        transact(Put(scenario, Scenario.pk.does_not_exist()), *writes)
    except ConditionFailed as error:
        detail = read_scenario(scenario_id, for_staff=True)
        if detail.scenario.request_digest != request_digest:
            raise IdTaken from error
        return detail
    return ScenarioDetail(scenario, checked, 0, _split_fields(fields)[0])


def _draft_write(scenario: Scenario, script: Fields) -> Put:
    """The write of a new draft; the catalogue shows it until there is a revision."""
    scenario.draft_digest = digest(script)
    if scenario.revision:
        scenario.set_index_keys()
    else:
        scenario.set_summary(script)
    return Put(Draft(*Draft.key(scenario.id), script=dict(script)))


def _publish_write(scenario: Scenario, script: Fields, now: datetime) -> list[Write]:
    """The write that freezes a draft, unless the newest revision is just that."""
    scenario.status = PUBLISHED
    if not scenario.has_unpublished_changes:
        scenario.set_index_keys()
        return []
    scenario.revision += 1
    scenario.published_digest, scenario.published_at = scenario.draft_digest, now
    scenario.set_summary(script)
    revision = Revision(
        *Revision.key(scenario.id, int(scenario.revision)), script=dict(script), created_at=now
    )
    return [Put(revision, Revision.pk.does_not_exist())]


@dataclass(frozen=True)
class Edit:
    """The writes of a change beside the scenario's own, the draft after it, and the script that
    its reader then sees, where that has been parsed already."""

    writes: list[Write]
    draft: Fields
    shown: Script | None = None


@retried(ConditionFailed)
def _edit(
    scenario_id: str,
    edit: Callable[[Scenario, Fields], Edit | None],
    expected_version: int | None,
    now: datetime,
) -> ScenarioDetail:
    """Changes a scenario as `edit` says, and answers what was written; None changes nothing.

    Raises NotFound, PreconditionFailed, and what `edit` raises.
    """
    scenario, draft, sessions = _stored(scenario_id, for_staff=True)
    check_version(expected_version, int(scenario.version))
    change = edit(scenario, draft or {})
    if change is None:
        return ScenarioDetail(scenario, _shown(scenario, draft), sessions, draft)
    scenario.updated_at = now
    transact(Put(scenario), *change.writes)
    shown = change.shown or _shown(scenario, change.draft)
    return ScenarioDetail(scenario, shown, sessions, change.draft)

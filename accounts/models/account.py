"""Accounts, profiles and progress of learners."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from config.records import dataclass
from config.store.items import Item, Page, Raw, key_instant
from config.store.transactions import Update

DEFAULT_ZONE = "UTC"
ZONES_KEPT = 20  # of those where a learner has lived


def learner_key(learner_id: str) -> str:
    """The partition of all that belongs to a learner; the id is Cognito's `sub`."""
    return f"LEARNER#{learner_id}"


class OfLearner(Item):
    """An item in the partition of a learner."""

    @property
    def learner_id(self) -> str:
        return self.pk.partition("#")[2]


class Account(OfLearner, discriminator="account"):
    """The state of a learner's account: `LEARNER#<sub>` / `ACCOUNT`.

    Read with every request (and kept for half a minute), so it holds nothing but that.
    `tokens_valid_after` is in epoch seconds: access tokens issued before are void. `ended` names
    the ended sessions whose access tokens may still be about, each with the epoch second of its
    end; all that began before `sessions_ended_at` have ended.
    `federated_name` is the pool's name of a learner who came from Google; they have a password
    once `password_set`, and Google enters no more once `google_off`. `google_ids` are the Google
    accounts that were linked to a learner who came with a password. `unlinking`: Google shall
    enter no more.
    `enrolling`: we are making the account ourselves, and have not finished.
    `sign_up_secret` is the fingerprint of the sign-up's token, until the address is proved;
    `proofs` are the attempts to prove it, BY_SECRET where they came with that secret.
    `moving_to` is a new address that the learner has proved, until both stores have it.
    `linking` is the Google account that is being linked, after the epoch second of the beginning.
    `relinked_from`: the pool that the learner was linked to when the one before was lost, and their
    id in that one.
    `deleted_by_staff`: staff delete the account, not its owner.
    `seen_at` is a sign-in or its renewal, a month before the last one at most. The owner of an
    account that is not used is warned twice, `first_warned_at` and `last_warned_at`; then it is
    deleted, as `dormant`.
    `password_changes` names those under way, each with the epoch second of its beginning.
    `barred_until` is the epoch second until which requests are refused: the day is used up.
    gsi1: `LEARNERS` / e-mail, the staff's list; `LEAVING` or `GONE` / since when.
    """

    SK = "ACCOUNT"
    TOKENS_LAST_S = 3600 + 60  # access tokens, and how far clocks may be off

    email = UnicodeAttribute()
    email_verified = BooleanAttribute(default=False)
    mfa_enabled = BooleanAttribute(default=False)
    disabled = BooleanAttribute(default=False)
    tokens_valid_after = NumberAttribute(default=0)
    ended = UnicodeSetAttribute(null=True)
    sessions_ended_at = UTCDateTimeAttribute(null=True)
    federated_name = UnicodeAttribute(null=True)
    password_set = BooleanAttribute(null=True)
    google_off = BooleanAttribute(null=True)
    google_ids = UnicodeSetAttribute(null=True)
    unlinking = BooleanAttribute(null=True)
    enrolling = BooleanAttribute(null=True)
    sign_up_secret = UnicodeAttribute(null=True)
    proofs = UnicodeSetAttribute(null=True)
    moving_to = UnicodeAttribute(null=True)
    linking = UnicodeAttribute(null=True)
    password_changes = UnicodeSetAttribute(null=True)
    deleted_by_staff = BooleanAttribute(null=True)
    relinked_from = UnicodeAttribute(null=True)
    barred_until = NumberAttribute(null=True)
    seen_at = UTCDateTimeAttribute(null=True)
    first_warned_at = UTCDateTimeAttribute(null=True)
    last_warned_at = UTCDateTimeAttribute(null=True)
    dormant = BooleanAttribute(null=True)
    created_at = UTCDateTimeAttribute()

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(learner_key(learner_id), cls.SK)

    @classmethod
    def new(
        cls, learner_id: str, *, email: str, now: datetime, sign_up_secret: str | None = None
    ) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            email=email,
            sign_up_secret=sign_up_secret,
            seen_at=now,
            created_at=now,
            gsi1pk="LEARNERS",
            gsi1sk=email,
        )

    @classmethod
    def at(cls, learner_id: str) -> Self:
        """A handle for changes in place, without reading."""
        return cls(learner_key(learner_id), cls.SK)

    @property
    def user_name(self) -> str:
        """What the pool calls the learner."""
        return self.federated_name or self.learner_id

    @property
    def has_password(self) -> bool:
        return not self.federated_name or bool(self.password_set)

    @property
    def sign_in_methods(self) -> list[str]:
        """The ways into the account: `password`, `google`, or both."""
        came_by_google = bool(self.federated_name) and not self.google_off
        by_google = (came_by_google or bool(self.google_ids)) and not self.unlinking
        ways = {"password": self.has_password, "google": by_google}
        return [way for way, is_open in ways.items() if is_open]

    def void_tokens_write(self, now: datetime) -> Update:
        """The write that voids the access tokens of this second and before."""
        valid_after = Account.tokens_valid_after.set(int(now.timestamp()) + 1)
        return Update(self, [valid_after], Account.pk.exists())

    def void_tokens(self, now: datetime) -> None:
        """Voids the access tokens of this second and before. Raises ConditionFailed when gone."""
        self.update_attributes(
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            condition=Account.pk.exists(),
        )

    BY_SECRET, BY_CODE = "secret", "code"

    def begin_proof(self, how: str, proof_id: str) -> str:
        """Notes an attempt to prove the address; returns the note. Raises ConditionFailed."""
        note = f"{how}#{proof_id}"
        unproved = (Account.gsi1pk == "LEARNERS") & (Account.email_verified == False)  # noqa: E712
        self.update_attributes(Account.proofs.add({note}), condition=unproved)
        return note

    def withdraw_proof(self, note: str) -> None:
        """Drops the note of an attempt that failed. Raises ConditionFailed when gone."""
        self.update_attributes(Account.proofs.delete({note}), condition=Account.pk.exists())

    def is_proved_by_secret(self) -> bool:
        """Whether all attempts came with the sign-up's secret, so that the password is theirs."""
        return all(note.startswith(f"{self.BY_SECRET}#") for note in self.proofs or ())

    def prove_write(self, *, void_before: int = 0) -> Update:
        """The write that makes the address the learner's own, unless the account is gone.

        It is written once: a second writer knows less about who chose the password.
        """
        actions = [
            Account.email_verified.set(True),
            Account.sign_up_secret.remove(),
            Account.proofs.remove(),
        ]
        if void_before:
            actions.append(Account.tokens_valid_after.set(void_before))
        unproved = (Account.gsi1pk == "LEARNERS") & (Account.email_verified == False)  # noqa: E712
        return Update(self, actions, unproved)

    def begin_move_write(self, email: str) -> Update:
        """The write that notes the new address of a learner who is not leaving."""
        free = Account.moving_to.does_not_exist() | (Account.moving_to == email)
        return Update(self, [Account.moving_to.set(email)], free & (Account.gsi1pk == "LEARNERS"))

    def withdraw_move_write(self, email: str) -> Update:
        """The write that drops the new address again."""
        return Update(self, [Account.moving_to.remove()], Account.moving_to == email)

    def end_move_write(self, email: str) -> Update:
        """The write that gives the learner the new address, which is proved."""
        actions = [
            Account.email.set(email),
            Account.email_verified.set(True),
            Account.gsi1sk.set(email),
            Account.moving_to.remove(),
            Account.sign_up_secret.remove(),
            Account.proofs.remove(),
        ]
        return Update(self, actions, (Account.moving_to == email) & (Account.gsi1pk == "LEARNERS"))

    def begin_link(self, google_id: str, now: datetime) -> None:
        """Notes that a Google account is being linked. Raises ConditionFailed when leaving."""
        note = f"{int(now.timestamp())}#{google_id}"
        self.update_attributes(Account.linking.set(note), condition=Account.gsi1pk == "LEARNERS")

    def end_link_write(self, google_id: str | None) -> Update:
        """The write that drops the note of a link, if it is still this one.

        `google_id` is the Google account that enters from now on, None if the link failed.
        """
        actions: list[Action] = [Account.linking.remove()]
        if google_id is not None:
            actions += [Account.google_off.remove(), *self._google_actions(google_id)]
        return Update(self, actions, Account.linking == self.linking)

    def _google_actions(self, google_id: str) -> list[Action]:
        return [] if self.federated_name else [Account.google_ids.add({google_id})]

    def note_google(self, google_id: str) -> None:
        """Notes a Google account that the pool has linked. Raises ConditionFailed when leaving."""
        open_account = (Account.gsi1pk == "LEARNERS") & Account.unlinking.does_not_exist()
        self.update_attributes(Account.google_ids.add({google_id}), condition=open_account)

    def begin_unlink(self) -> None:
        """Notes that Google shall enter no more. Raises ConditionFailed when leaving."""
        self.update_attributes(
            Account.unlinking.set(True),
            condition=(Account.gsi1pk == "LEARNERS") & Account.linking.does_not_exist(),
        )

    def end_unlink_write(self, now: datetime, *, shut_here: bool) -> Update:
        """The write that ends all sessions of this second and before, and drops the note.

        `shut_here`: the pool goes on letting Google in, so that our word has to count.
        """
        actions = [
            Account.unlinking.remove(),
            Account.google_ids.remove(),
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            Account.sessions_ended_at.set(now),
        ]
        if shut_here:
            actions.append(Account.google_off.set(True))
        return Update(self, actions, Account.unlinking == True)  # noqa: E712 - an expression

    @property
    def addresses(self) -> set[str]:
        """All addresses that the table holds for the learner."""
        return {self.email, *({self.moving_to} if self.moving_to else ())}

    CUT_OFF_AFTER_S = 30  # no request lasts longer

    def begin_password_change(self, change_id: str, now: datetime) -> str:
        """Notes that a password is being replaced; returns the note. Raises ConditionFailed."""
        note = f"{int(now.timestamp())}#{change_id}"
        self.update_attributes(
            Account.password_changes.add({note}), condition=Account.gsi1pk == "LEARNERS"
        )
        return note

    def withdraw_password_change(self, note: str) -> None:
        """Drops the note of a change that did not come about. Raises ConditionFailed when gone."""
        self.update_attributes(
            Account.password_changes.delete({note}), condition=Account.pk.exists()
        )

    def end_password_changes_write(
        self, notes: Collection[str], now: datetime, *, first: bool
    ) -> Update:
        """The write that ends all sessions of this second and before, and drops the notes.

        `first`: the password is the first of a learner who came from Google.
        """
        actions = [
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            Account.sessions_ended_at.set(now),
            Account.password_changes.delete(set(notes)),
        ]
        if first:
            actions.append(Account.password_set.set(True))
        return Update(self, actions, Account.pk.exists())

    def cut_off_password_changes(self, now_s: float) -> frozenset[str]:
        """The notes of changes that were cut off: the password may be another by now.

        As long as there is one, no token of the account is good.
        """
        notes = self.password_changes or ()
        begun_before = now_s - self.CUT_OFF_AFTER_S
        return frozenset(n for n in notes if int(n.partition("#")[0]) <= begun_before)

    def void_sessions(self, now: datetime) -> None:
        """Voids the access tokens as `void_tokens`, and notes that all sessions have ended."""
        self.update_attributes(
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            Account.sessions_ended_at.set(now),
            condition=Account.pk.exists(),
        )

    def is_session_ended(self, session: str) -> bool:
        """Whether a session was signed out while access tokens of it may still be about."""
        return any(entry.partition("#")[2] == session for entry in self.ended or ())

    def end_session_write(self, session: str, now: datetime) -> Update:
        """The write that voids the access tokens of one session, unless the account is gone."""
        entry = f"{int(now.timestamp())}#{session}"
        return Update(self, [Account.ended.add({entry})], Account.pk.exists())

    def drop_expired_sessions(self, now: datetime) -> None:
        """Drops sessions that ended so long ago that their access tokens are void by themselves."""
        until = int(now.timestamp()) - self.TOKENS_LAST_S
        past = {entry for entry in self.ended or () if int(entry.partition("#")[0]) < until}
        if past:
            self.update_attributes(Account.ended.delete(past), condition=Account.pk.exists())

    @classmethod
    def by_email(cls, prefix: str, *, limit: int, start: Raw | None = None) -> Page[Self]:
        """Accounts in the order of their addresses: a query of gsi1, for staff."""
        condition = cls.gsi1sk.startswith(prefix) if prefix else None
        return cls.query_page("LEARNERS", condition, limit=limit, index="gsi1", start=start)

    def set_disabled_write(self, disabled: bool, now: datetime) -> Update:
        """The write that shuts the account or opens it, unless it is gone.

        Either ends all sessions of this second and before: no token comes back to life.
        """
        actions = [
            Account.disabled.set(disabled),
            Account.tokens_valid_after.set(int(now.timestamp()) + 1),
            Account.sessions_ended_at.set(now),
        ]
        return Update(self, actions, Account.gsi1pk == "LEARNERS")

    SEEN_GRAIN = timedelta(days=30)

    def seen_writes(self, now: datetime) -> list[Update]:
        """The write that notes a sign-in, unless one was noted within the last month.

        It fails for an account that is leaving.
        """
        if self.seen_at and now - self.seen_at < self.SEEN_GRAIN and not self.first_warned_at:
            return []
        return [Update(self, self._seen(now), Account.gsi1pk == "LEARNERS")]

    @staticmethod
    def _seen(at: datetime) -> list[Action]:
        return [
            Account.seen_at.set(at),
            Account.first_warned_at.remove(),
            Account.last_warned_at.remove(),
        ]

    def note_seen(self, at: datetime) -> None:
        """Notes that the account was used at an instant. Raises ConditionFailed if it changed."""
        self.update_attributes(*self._seen(at), condition=self._is_as_it_was())

    def note_warning(self, now: datetime, *, last: bool) -> None:
        """Notes that the owner was told. Raises ConditionFailed if the account was used since."""
        told = Account.last_warned_at if last else Account.first_warned_at
        self.update_attributes(told.set(now), condition=self._is_as_it_was())

    def mark_dormant(self, now: datetime) -> None:
        """Bars a dormant account for good. Raises ConditionFailed if it was used since."""
        self.update_attributes(
            *self._leave(now), Account.dormant.set(True), condition=self._is_as_it_was()
        )

    def _is_as_it_was(self) -> Condition:
        """Whether nobody has used the account since it was read, nor shut or left it."""
        as_it_was: Condition = Account.gsi1pk == "LEARNERS"
        as_it_was &= Account.disabled == False  # noqa: E712 - makes an expression
        for attribute in (Account.seen_at, Account.first_warned_at, Account.last_warned_at):
            value = getattr(self, attribute.attr_name)
            as_it_was &= attribute == value if value else attribute.does_not_exist()
        return as_it_was

    def finish_enrolment(self) -> None:
        """Notes that our making of the account is complete. Raises ConditionFailed when gone."""
        self.update_attributes(Account.enrolling.remove(), condition=Account.pk.exists())

    LEAVING, GONE = "LEAVING", "GONE"

    @property
    def is_leaving(self) -> bool:
        """Whether the account is barred for good, and its deletion not completed."""
        return bool(self.gsi1pk == self.LEAVING)

    def is_leaving_since(self, before: datetime) -> bool:
        """Whether it was barred before an instant: whoever began to remove it has been cut off."""
        return self.is_leaving and str(self.gsi1sk) < key_instant(before)

    def mark_for_deletion(self, now: datetime, *, if_unverified: bool = False) -> None:
        """Bars the account for good. Raises ConditionFailed when it is gone, or verified."""
        condition = Account.pk.exists() & (Account.gsi1pk != self.GONE)
        if if_unverified:
            condition &= Account.email_verified == False  # noqa: E712 - makes an expression
        self.update_attributes(*self._leave(now), condition=condition)

    def mark_for_deletion_by_staff_write(self, now: datetime) -> Update:
        """The write by which staff bar the account for good, unless it is barred already."""
        actions = [*self._leave(now), Account.deleted_by_staff.set(True)]
        return Update(self, actions, Account.gsi1pk == "LEARNERS")

    @property
    def deleted_as(self) -> str:
        """Why an account is leaving: by its `owner`'s wish, by `staff`, or as `dormant`."""
        if self.deleted_by_staff:
            return "staff"
        return "dormant" if self.dormant else "owner"

    def _leave(self, now: datetime) -> list[Action]:
        return [
            Account.disabled.set(True),
            Account.gsi1pk.set(self.LEAVING),
            Account.gsi1sk.set(key_instant(now)),
        ]

    def anonymised(self, now: datetime) -> list[Action]:
        """The changes that turn the account into a mark that says "gone", for a day at most."""
        return [
            Account.email.set(""),
            Account.federated_name.remove(),
            Account.google_ids.remove(),
            Account.linking.remove(),
            Account.moving_to.remove(),
            Account.gsi1pk.set(self.GONE),
            Account.gsi1sk.set(key_instant(now)),
            Account.expires_at.set(int(now.timestamp()) + 86_400),
        ]

    @classmethod
    def pending_deletion(cls) -> list[Self]:
        """Accounts whose deletion has not been completed: a query of gsi1, the oldest first."""
        return cls.query_page(cls.LEAVING, limit=100, index="gsi1").items

    @classmethod
    def deleted_before(cls, *, before: datetime) -> list[Self]:
        """Marks of accounts that were deleted before an instant: a query of gsi1."""
        condition = cls.gsi1sk < key_instant(before)
        return cls.query_page(cls.GONE, condition, limit=100, index="gsi1").items

    def bar_until(self, instant: datetime) -> None:
        """Refuses the learner's requests until an instant. Raises ConditionFailed when gone."""
        self.update_attributes(
            Account.barred_until.set(int(instant.timestamp())), condition=Account.pk.exists()
        )

    def barred_for_s(self, now_s: float) -> int:
        """The seconds for which the learner's requests are refused, or 0."""
        return max(0, math.ceil((self.barred_until or 0) - now_s))

    def verify_email(self) -> None:
        """Marks the address as the learner's own. Raises ConditionFailed for a deleted account."""
        self.update_attributes(Account.email_verified.set(True), condition=Account.pk.exists())


@dataclass
class AccountCache:
    """The accounts met lately, each kept for ACCOUNT_STATE_CACHE_S seconds in this process."""

    read: Callable[[str], Account | None] = Account.of
    clock: Callable[[], float] = time.monotonic
    most: int = 10_000
    _known: dict[str, tuple[float, Account | None]] = field(default_factory=dict)

    def of(self, learner_id: str) -> Account | None:
        """The account, at most ACCOUNT_STATE_CACHE_S old; None where there is none (any more)."""
        now = self.clock()
        until, account = self._known.get(learner_id, (0.0, None))
        if until <= now:
            account = self.read(learner_id)
            if len(self._known) >= self.most:
                self._known.clear()
            self._known[learner_id] = (now + settings.ACCOUNT_STATE_CACHE_S, account)
        return account

    def forget(self, learner_id: str | None = None) -> None:
        """Makes the next request read the account again (all accounts without an id)."""
        if learner_id is None:
            self._known.clear()
        else:
            self._known.pop(learner_id, None)


account_cache = AccountCache()


class Synced(OfLearner):
    """An item whose changes are numbered by the learner's head; `n` is that of the last one."""

    n = NumberAttribute(null=True)

    @property
    def is_gone(self) -> bool:
        """Whether it only marks that there was something under its key."""
        return False

    @property
    def learner_id(self) -> str:
        return str(self.pk.partition("#")[2])


class Wish:
    """Whether learners get a kind of mail: its default, unless `wishes` has another answer."""

    def __init__(self, name: str, *, default: bool) -> None:
        self.name, self.default = name, default

    def __get__(self, profile: Any, owner: Any = None) -> bool:
        is_named = profile is not None and self.name in (profile.wishes or ())
        return is_named != self.default

    def __set__(self, profile: Any, wished: bool) -> None:
        others = set(profile.wishes or ()) - {self.name}
        profile.wishes = (others | {self.name} if wished != self.default else others) or None


class Profile(Synced, discriminator="profile"):
    """What learners tell about themselves, and how they want to be reminded.

    `LEARNER#<sub>` / `PROFILE`. `quiet_from` and `quiet_until` are local times (`22:00`), both or
    neither (see `quiet_hours`); `early_mails`: a reminder that quiet hours would hold until its
    event is over comes before they begin. Levels are CEFR's, languages BCP 47's. `former_zones`:
    where they lived before, [until when, zone], newest first. `model_text_at` and `model_voice_at`:
    since when what they write and say may go to a model.
    """

    SK = "PROFILE"

    first_name = UnicodeAttribute()
    last_name = UnicodeAttribute()
    display_name = UnicodeAttribute(null=True)
    avatar_url = UnicodeAttribute(null=True)
    native_language = UnicodeAttribute(null=True)
    target_language = UnicodeAttribute(null=True)
    current_level = UnicodeAttribute(null=True)
    target_level = UnicodeAttribute(null=True)
    timezone = UnicodeAttribute(default=DEFAULT_ZONE)
    zone_set_at = UTCDateTimeAttribute(null=True)
    former_zones = JSONAttribute(null=True)
    daily_goal = NumberAttribute(default=20)
    study_mails = BooleanAttribute(default=True)
    event_mails = BooleanAttribute(default=True)
    quiet_from = UnicodeAttribute(null=True)
    quiet_until = UnicodeAttribute(null=True)
    wishes = UnicodeSetAttribute(null=True)
    early_mails = Wish("early", default=False)
    report_mails = Wish("no_reports", default=True)
    streak_mails = Wish("no_streaks", default=True)
    model_text_at = UTCDateTimeAttribute(null=True)
    model_voice_at = UTCDateTimeAttribute(null=True)
    created_at = UTCDateTimeAttribute()
    version = VersionAttribute()

    @classmethod
    def of(cls, learner_id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(learner_key(learner_id), cls.SK)

    def move_to(self, zone: str, now: datetime) -> None:
        """Sets another zone from now on. The first one chosen holds for the time before as well."""
        if zone != self.timezone and (self.former_zones or self.timezone != DEFAULT_ZONE):
            former = [[now.isoformat(), self.timezone], *(self.former_zones or [])]
            self.former_zones = former[:ZONES_KEPT]
        if zone != self.timezone:
            self.timezone, self.zone_set_at = zone, now

    def zone_at(self, at: datetime) -> str:
        """Where they lived at an instant."""
        zone = str(self.timezone)
        for until, former in self.former_zones or ():
            if at >= datetime.fromisoformat(until):
                break
            zone = former
        return zone

    @property
    def quiet_hours(self) -> dict[str, str] | None:
        """When not to mail: from `starts` to `ends`, over midnight where it ends earlier."""
        if not self.quiet_from or not self.quiet_until:
            return None
        return {"starts": self.quiet_from, "ends": self.quiet_until}

    @quiet_hours.setter
    def quiet_hours(self, hours: Mapping[str, str] | None) -> None:
        """Hours that end when they start are none."""
        if hours is None or hours["starts"] == hours["ends"]:
            hours = {}
        self.quiet_from, self.quiet_until = hours.get("starts"), hours.get("ends")

    @classmethod
    def new(cls, learner_id: str, *, first_name: str, last_name: str, now: datetime) -> Self:
        return cls(
            learner_key(learner_id),
            cls.SK,
            first_name=first_name,
            last_name=last_name,
            created_at=now,
        )

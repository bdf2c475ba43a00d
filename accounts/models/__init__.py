"""The items of accounts; `docs/access-patterns.md` has every pattern with its key and cost.

All kinds are imported here: a read of several kinds at once must know each.
"""

from accounts.models.account import DEFAULT_ZONE, Account, OfLearner, Profile, Synced, learner_key
from accounts.models.addresses import Address, EmailChange, Suppression
from accounts.models.audit import Activity
from accounts.models.head import Head, Journal
from accounts.models.limits import Attempts, KnownNetwork, LimitReached
from accounts.models.reconciliation import Reconciliation
from accounts.models.sign_in import IssuedToken, Mfa, Session, SignInCode

__all__ = [
    "DEFAULT_ZONE",
    "Account",
    "Activity",
    "Address",
    "Attempts",
    "EmailChange",
    "Head",
    "IssuedToken",
    "Journal",
    "KnownNetwork",
    "LimitReached",
    "Mfa",
    "OfLearner",
    "Profile",
    "Reconciliation",
    "Session",
    "SignInCode",
    "Suppression",
    "Synced",
    "learner_key",
]

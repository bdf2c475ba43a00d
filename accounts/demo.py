"""The accounts that a local run offers, and only a local run: their password is public."""

from dataclasses import dataclass

PASSWORD = "parley-demo-1"  # noqa: S105  (printed at the start of every local run)


@dataclass(frozen=True)
class DemoAccount:
    """One account: `role` is the word people are told; `groups` are Cognito's."""

    role: str
    email: str
    first_name: str
    last_name: str = "Demo"
    groups: frozenset[str] = frozenset()


LEARNER = DemoAccount("learner", "learner@parley.example", "Lucía")
STAFF = DemoAccount("staff", "staff@parley.example", "Stefan", groups=frozenset({"staff"}))
ADMIN = DemoAccount("admin", "admin@parley.example", "Amina", groups=frozenset({"admin"}))
DEMO_ACCOUNTS = (LEARNER, STAFF, ADMIN)

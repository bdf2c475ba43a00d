"""What the OpenAPI document tells its readers before the operations, and how it groups them."""

GUIDE = """\
Flashcards scheduled by memory science, role-play practice, reminders.

**Sign in.** `POST /auth/signup`, `/auth/verify-email` with the mailed code, `/auth/login`. Send the
`accessToken` as `Authorization: Bearer …`; it lives for `expiresIn` seconds. On 401 with the code
`NOT_AUTHENTICATED`, and on no other, call `/auth/refresh` and repeat the request. Keep the new
`refreshToken` where there is one: the old one serves for another minute, for requests that refresh
at the same moment; later it counts as stolen. With `INVALID_REFRESH_TOKEN` the learner signs in
again.

**Errors** are problem documents (RFC 9457). Decide by `code`, which is stable, and fall back on the
status for codes that are new to you. `errors` names each field as it stands in your JSON, dotted
inside lists and objects (`tags.1`, `moved.0.startsAt`). Quote `requestId` when you ask us.

**Lists** come in pages: `results`, and in `next` the address of the next page or null. Take the
address as it is, or its `cursor` with otherwise the same query. A filtered page may be short.

**Sending again.** Whatever you make with an `id` of your own (a UUID in lower case or a ULID in
upper case) may be sent again after a lost answer: the same request has the same answer, another one
with the same id is 409 `ID_TAKEN`. Reviews may also come late and out of order. On 429 and 5xx wait
for `Retry-After` seconds, then send the same again.

**Lost updates.** What can be edited has a `version`, which is also its `ETag`. Send it as
`If-Match` and the change is refused (412) if another device was first.

**Shapes.** Times are UTC instants (`2026-11-21T09:00:00Z`; you may send any offset), `…On` are
dates, zones IANA names. Fields are in every answer, null where there is nothing. PUT gives what is
left out its default, PATCH leaves it as it is; both pass over read-only fields, so that what was
read may be sent back. Names that we do not know are refused. Later versions may add fields to
answers, and values to lists of values: pass over what you do not know.
"""

TAGS = {
    "auth": "Sign-up, sign-in, tokens, the second step, passwords, addresses",
    "profile": "The learner's own page, its export and its end",
    "decks": "Sets of cards with limits of their own",
    "changes": "What has changed since a device was here last, and what it changed offline",
    "flashcards": "What is studied: cards, the queue, reviews one by one, files in and out",
    "notes": "What several cards are made of: reversed and cloze",
    "reviews": "The study log, and what was studied offline",
    "scheduler": "How cards are scheduled, and weights fitted to the learner",
    "statistics": "How study goes",
    "starter-decks": "Ready-made decks to copy",
    "scenarios": "Role plays; staff write them",
    "sessions": "Role plays as they are played",
    "events": "What takes place, once or by a rule",
    "reminders": "What is mailed, and when",
    "calendar": "The feed for calendar programs",
    "unsubscribe": "The link in each mail; no sign-in",
    "users": "Accounts, for staff",
    "deliveries": "Mails that were given up, for staff",
    "health": "For monitors; no sign-in",
}

GROUPS = {
    "Account": ["auth", "profile"],
    "Study": [
        *("decks", "flashcards", "notes", "reviews", "changes"),
        *("scheduler", "statistics", "starter-decks"),
    ],
    "Practice": ["scenarios", "sessions"],
    "Plan": ["events", "reminders", "calendar", "unsubscribe"],
    "Staff and operation": ["users", "deliveries", "health"],
}

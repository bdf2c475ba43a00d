"""/deliveries: mails that were given up, as staff see them, also in their browser."""

from datetime import timedelta

import pytest
from django.utils import timezone

from reminders import timing
from reminders.models import DEAD, SENT, Delivery, Reminder
from tests.browsers import signed_in
from tests.callers import Caller, make_learner
from tests.reminder_helpers import reminder_of


@pytest.fixture
def stefan(table: None) -> Caller:
    return make_learner("stefan", groups=("staff",))


def delivery_of(caller: Caller, state: str) -> Delivery:
    """A record of a mail of the learner's."""
    made = reminder_of(caller)
    reminder = Reminder.of(caller.id, made["id"])
    assert reminder is not None
    at = timezone.now() - timedelta(hours=2)
    delivery = Delivery.of(reminder, timing.Due(at, "20300603T170000Z", "", at), state, now=at)
    delivery.conclude(state, reason="SERVICE_UNAVAILABLE" if state == DEAD else "", now=at)
    delivery.put()
    return delivery


def test_one_that_was_given_up_is_read_by_its_id(maria: Caller, stefan: Caller) -> None:
    delivery = delivery_of(maria, DEAD)
    [listed] = stefan.get("/deliveries").json()["results"]
    assert stefan.get(f"/deliveries/{listed['id']}").json() == listed
    assert (listed["id"], listed["reason"]) == (delivery.id, "SERVICE_UNAVAILABLE")
    assert maria.get(f"/deliveries/{listed['id']}").status_code == 403


def test_staff_read_none_that_was_not_given_up(maria: Caller, stefan: Caller) -> None:
    sent = delivery_of(maria, SENT)
    for unknown in (sent.id, "x", "a.b.c", f"{maria.id}.x.y"):
        assert stefan.get(f"/deliveries/{unknown}").status_code == 404


def test_in_the_browser_a_row_leads_to_the_mail_and_its_retry(
    maria: Caller, stefan: Caller
) -> None:
    delivery = delivery_of(maria, DEAD)
    browser = signed_in(stefan)
    path = f"/browse/deliveries/{delivery.id}"
    page = browser.get("/browse/deliveries").content.decode()
    assert f'href="{path}"' in page
    assert f'<a href="/browse/users/{maria.id}">' in page
    assert 'href="/browse/reminders/' not in page  # it is hers
    assert f'href="{path}/retry"' in browser.get(path).content.decode()
    form = browser.form(f"{path}/retry", sends=f"{path}/retry")
    assert browser.send(form).status_code == 200
    assert stefan.get(f"/deliveries/{delivery.id}").json()["state"] == "retried"

"""Routes of reminders."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from reminders.api.calendar import CalendarAddressView, CalendarFeedView, CalendarRotationView
from reminders.api.changes import ChangeViewSet
from reminders.api.deliveries import FailedDeliveryViewSet
from reminders.api.events import EventViewSet
from reminders.api.mail_actions import MailActionView
from reminders.api.mail_suppression import LiftView, MailSuppressionView
from reminders.api.reminders import ReminderViewSet
from reminders.api.unsubscribe import UnsubscribeView

router = SimpleRouter(trailing_slash=False)
router.register("changes", ChangeViewSet, "change")
router.register("deliveries", FailedDeliveryViewSet, "delivery")
router.register("events", EventViewSet, "event")
router.register("reminders", ReminderViewSet, "reminder")

urlpatterns = [
    *router.urls,
    path("calendar", CalendarAddressView.as_view()),
    path("calendar/rotate", CalendarRotationView.as_view()),
    path("calendar/<str:token>.ics", CalendarFeedView.as_view()),
    path("mail-actions/<str:token>", MailActionView.as_view()),
    path("mail-suppression", MailSuppressionView.as_view()),
    path("mail-suppression/<str:token>", LiftView.as_view()),
    path("unsubscribe/<str:token>", UnsubscribeView.as_view()),
]

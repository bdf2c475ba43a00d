"""Routes of reminders."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from reminders.api.calendar import CalendarAddress, CalendarFeed, CalendarRotation
from reminders.api.deliveries import FailedDeliveries
from reminders.api.events import Events
from reminders.api.reminders import Reminders
from reminders.api.unsubscribe import Unsubscribe

router = SimpleRouter(trailing_slash=False)
router.register("deliveries", FailedDeliveries, "delivery")
router.register("events", Events, "event")
router.register("reminders", Reminders, "reminder")

urlpatterns = [
    *router.urls,
    path("calendar", CalendarAddress.as_view()),
    path("calendar/rotate", CalendarRotation.as_view()),
    path("calendar/<str:token>.ics", CalendarFeed.as_view()),
    path("unsubscribe/<str:token>", Unsubscribe.as_view()),
]

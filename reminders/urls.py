"""Routes of reminders."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from reminders.views.calendar import CalendarAddress, CalendarRotation
from reminders.views.changes import Changes
from reminders.views.deliveries import FailedDeliveries
from reminders.views.events import Events
from reminders.views.public import CalendarFeed, Unsubscribe
from reminders.views.reminders import Reminders

router = SimpleRouter(trailing_slash=False)
router.register("changes", Changes, "change")
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

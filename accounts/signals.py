"""Events of an account that other apps may want to know."""

from django.dispatch import Signal

# A learner has another zone, or other hours for mails: `learner_id`.
mail_hours_changed = Signal()

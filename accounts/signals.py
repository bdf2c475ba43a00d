"""What others may want to know of an account."""

from django.dispatch import Signal

# A learner lives by another clock, or is to be mailed at other hours: `learner_id`.
mail_hours_changed = Signal()

"""What others may want to know of an account."""

from django.dispatch import Signal

# A learner lives by another clock: `learner_id`.
zone_changed = Signal()

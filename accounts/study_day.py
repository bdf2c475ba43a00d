"""Where a learner's own day begins and ends. Pure rules: instants, zone and hour come in."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.records import dataclass

DAY_STARTS_AT_HOUR = 4  # unless the learner chooses another: studying past midnight is not late


@dataclass(frozen=True)
class StudyCalendar:
    """A learner's zone (IANA name) and the hour (0–23) at which their day begins, as in Anki."""

    timezone: str
    day_starts_at_hour: int

    def day(self, at: datetime) -> date:
        """The learner's day that an instant falls in."""
        wall = at.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)
        return (wall - timedelta(hours=self.day_starts_at_hour)).date()

    def end(self, on: date) -> datetime:
        """The instant at which a day ends and the next begins, in UTC."""
        return self.start(on + timedelta(days=1))

    def start(self, on: date) -> datetime:
        """The instant at which a day begins, in UTC."""
        wall = datetime.combine(on, time(self.day_starts_at_hour))
        return wall.replace(tzinfo=ZoneInfo(self.timezone)).astimezone(UTC)

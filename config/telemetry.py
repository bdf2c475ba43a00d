"""Numbers of the business, as log lines that CloudWatch turns into metrics by itself.

AWS: "CloudWatch embedded metric format". No call is made and nothing is waited for; the only
dimension is the stage, since each further value of one is a metric that is paid for.
"""

import logging
import time
from typing import Literal

from django.conf import settings

log = logging.getLogger("parley.metrics")

NAMESPACE = "Parley"
Name = Literal["MailsFailed", "MailsSent", "Reviews", "SignUps", "SweepLag"]


def emit(name: Name, value: float = 1, *, unit: Literal["Count", "Seconds"] = "Count") -> None:
    """Adds a value to a metric of this stage."""
    described = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["Stage"]],
                "Metrics": [{"Name": name, "Unit": unit}],
            }
        ],
    }
    fields = {"_aws": described, "Stage": settings.STAGE, name: value}
    log.info("metric", extra={"fields": fields})

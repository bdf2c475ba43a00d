#!/usr/bin/env python3
"""Runs a management command: `manage.py help` lists them."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from config.problems import Problem, ServiceUnavailable
        from config.stack import StackUnknown

        try:
            execute_from_command_line(sys.argv)
        except ImproperlyConfigured as error:
            sys.exit(f"ImproperlyConfigured: {error}")
        except ServiceUnavailable as error:
            sys.exit(f"{error}. Is `make run` up?")
        except (Problem, StackUnknown) as error:
            sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell says it


if __name__ == "__main__":
    main()

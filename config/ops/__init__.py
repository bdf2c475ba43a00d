"""Packages, releases, stacks, the local AWS, backups and costs: never runs on Lambda."""

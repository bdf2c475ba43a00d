"""Packages, releases, stacks, the local AWS, backups and costs. None of it runs on Lambda."""

"""The items of learning; `docs/access-patterns.md` has every pattern with its key and cost."""

"""How Parley comes to AWS: bundled, slimmed, released. Runs where one deploys, never on Lambda."""

"""How items are written: with whom together, how often again, packed how small."""

"""Dead letters after the fact: found, shown, replayed through the one handler, or discarded."""

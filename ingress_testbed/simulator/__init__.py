"""A provider to try against: ViriCiti's live socket, fed by a recording."""

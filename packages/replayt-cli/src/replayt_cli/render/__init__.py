"""How results look: text for people and terminals, JSON for programs."""

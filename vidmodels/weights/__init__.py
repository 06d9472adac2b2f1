"""Foreign and own weights files: reading them safely, translating their keys, and saying what was loaded."""

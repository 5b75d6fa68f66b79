"""Where the log lives: `base.py` says what a store does, each other module is one store."""

"""Several nodes on one log: who there is, who may act, who has what."""

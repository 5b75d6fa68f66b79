"""From the log to subscribers: who follows what, what is owed to whom, and what became of it."""

"""Looking after it all: subscriptions, dead letters, stored messages, retention."""

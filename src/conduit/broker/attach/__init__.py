"""What a client holds: its subscriptions, and the verbs that settle deliveries."""

"""Load tests with k6: steady publishing, fan-out to WebSocket subscribers, a node that fails."""

"""Tests of the client. `peer.py` is a scripted server for what a real one does too rarely."""

"""The dashboard as it is served: pages that `make dashboard` has built into `dist`, and nothing else.

They hold no data: what they show they ask the API for, with the rights of whoever looks. So they are answered
without a key, from memory, and none of it depends on who asks.
"""

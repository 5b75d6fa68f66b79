"""Decisions, pure: no asyncio, clock, randomness, logging or drivers.

Every machine takes `now` as an argument (seconds as a float, from one clock that never goes back)
and says its next deadline; whoever owns it keeps the timer. Start reading at `delivery.py`.
"""

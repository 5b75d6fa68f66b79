"""What measures a server: publishers that send on time, subscribers that note when what came, and a verdict.

`conduit bench` and the project's own benchmarks are measured by the same code. What runs beside a server does
as little as it can meanwhile: plain sockets, and bytes that are looked at afterwards.
"""

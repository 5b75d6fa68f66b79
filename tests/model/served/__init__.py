"""The second form: the same model beside a real server, over sockets, with SIGKILL between the steps.

Time is real there, and frames come when they come. So only what must be true at rest is compared, and
frames are told to the model in an order in which they can have been written.
"""

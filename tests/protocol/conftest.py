"""Generated examples are fast; a busy machine must not make them fail."""

from hypothesis import settings

settings.register_profile("conduit", deadline=None, print_blob=True)
settings.load_profile("conduit")

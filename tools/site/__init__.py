"""`make docs`: the pages of `docs/` as a site in `build/docs`, by Zensical; and what is true of all Markdown.

The pages are written as they are read in the repository. For the site they are copied, and what a link means
there is written out (`source.py`). The pages of the site load nothing of another origin.
"""

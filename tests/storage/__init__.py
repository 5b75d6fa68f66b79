"""One contract suite for every store, and what is special to each."""

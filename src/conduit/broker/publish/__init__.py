"""From a request to a receipt: what may be published, the next commit, the answer."""

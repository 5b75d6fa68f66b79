"""The control plane: a FastAPI application with thin handlers, one file per noun."""

"""Pages about the proxy, under ``/_ampmap/``: ``pages``."""

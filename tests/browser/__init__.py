"""Web pages in a real browser against a running ampmap: what a stranger's page tries, and what must still work.

Run with ``make e2e-browser``; plain ``make test`` leaves this out. ``chromium`` drives a headless Chromium by the
DevTools protocol, ``sites`` serves the pages of strangers, ``attempts`` is what they try. Every name that a page makes
up leads to this machine.
"""

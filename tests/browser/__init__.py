"""Web pages in a real browser against a running ampmap: what strangers' pages try, what must still work, the live page.

Run with ``make e2e-browser``; plain ``make test`` leaves this out. ``chromium`` drives a headless Chromium by the
DevTools protocol, ``sites`` serves the pages of strangers, ``attempts`` is what they try, ``livetraffic`` is what the
live page shows. Every name that a page makes up leads to this machine.
"""

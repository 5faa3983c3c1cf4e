"""One record per request, and how lines of the log are written.

* ``record``: what happened to a request; counters; the last records
* ``log_format``: a record or any other message as text or as JSON
* ``log_writer``: a thread that writes lines, so that a log that nobody reads holds up nothing
"""

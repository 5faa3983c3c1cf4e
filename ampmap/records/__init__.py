"""One record per request, and the log.

* ``record``: what happened to one request, and how it looks in the log
* ``journal``: logs records, counts them and keeps the last ones; ``tokens``: tokens by model; ``histograms``: durations
* ``log_format``: sets up the log and formats its lines as text or JSON; ``human_format``: as lines for a terminal
* ``log_writer``: a thread that writes lines, so that a log that nobody reads blocks no request
"""

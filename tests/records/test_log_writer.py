"""Lines on their way to a descriptor: in order, whole, soon, and some of them made together."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ampmap.records.log_writer import LogWriter


class Settled(logging.LogRecord):
    settled = True


class Watching(logging.Formatter):
    """Notes which thread makes which line."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, bool]] = []

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if line == "unspeakable":
            raise ValueError(line)
        self.made.append((line, threading.current_thread() is threading.main_thread()))
        return line


@contextmanager
def log_writer() -> Iterator[tuple[LogWriter, Watching, int]]:
    """Give a LogWriter into a pipe, its formatter, and the end of the pipe to read from."""
    reader, writer = os.pipe()
    handler, formatter = LogWriter(writer), Watching()
    handler.setFormatter(formatter)
    try:
        yield handler, formatter, reader
    finally:
        handler.close()
        os.close(writer)
        os.close(reader)


@contextmanager
def writer_waiting(handler: LogWriter) -> Iterator[None]:
    """Hold the handler's lock, without which its thread takes no lines."""
    handler.acquire()
    try:
        yield
    finally:
        handler.release()


def logged(handler: LogWriter, line: str, kind: type[logging.LogRecord] = logging.LogRecord) -> str:
    handler.handle(kind("a", logging.INFO, "f.py", 1, line, (), None))
    return line


def test_lines_leave_in_the_order_in_which_they_were_logged() -> None:
    with log_writer() as (handler, _, reader):
        kinds = [Settled if number % 7 else logging.LogRecord for number in range(100)]
        lines = [logged(handler, str(number), kind) for number, kind in enumerate(kinds)]
        handler.flush()

        assert lines == os.read(reader, 65_536).decode().splitlines()


def test_a_settled_record_leaves_by_itself_though_nothing_else_is_logged() -> None:
    with log_writer() as (handler, formatter, reader):
        logged(handler, "alone", Settled)

        assert b"alone\n" == os.read(reader, 65_536)
        assert [("alone", False)] == formatter.made


def test_what_may_change_is_shown_as_it_is_and_what_came_before_it_with_it() -> None:
    with log_writer() as (handler, formatter, _):
        with writer_waiting(handler):
            logged(handler, "first", Settled)
            assert [] == formatter.made
            logged(handler, "second")

            assert [("first", True), ("second", True)] == formatter.made


def test_a_busy_logger_makes_its_lines_sixteen_at_once_so_that_no_more_than_these_wait() -> None:
    with log_writer() as (handler, formatter, _), writer_waiting(handler):
        for number in range(40):
            logged(handler, str(number), Settled)
            assert (number + 1) // 16 * 16 == len(formatter.made)


def test_a_record_that_cannot_be_shown_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with log_writer() as (handler, _, reader):
        for line in ("before", "unspeakable", "behind"):
            logged(handler, line, Settled)
        handler.flush()

        assert b"before\nbehind\n" == os.read(reader, 65_536)

"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator

import anyio
import hypothesis
import planted
import pytest
import samples
import trustme
from bothloops import CHECKED, LOOPS, is_uvloop
from quickclock import QuickLoop, QuickUvLoop


@pytest.hookimpl(tryfirst=True)  # before hypothesis reads its seed
def pytest_configure(config: pytest.Config) -> None:
    """Watch the programs that tests start."""
    config.addinivalue_line("markers", "shows_secrets(why): this test shows planted secrets on purpose")
    config.addinivalue_line(
        "markers", "sample(share): some of its parameters are enough; sample: it takes some by itself"
    )
    planted.watch()
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored under nohup and in the background, and so in all programs
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    hypothesis.settings.register_profile(  # a busy one is no bug
        "any machine",
        deadline=None,
        max_examples=samples.examples(100, 12),
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("any machine")
    config.option.hypothesis_seed = config.option.hypothesis_seed or samples.seed()
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith("Executing "))  # nor is this


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from all that is there before the first test: a walk through it takes 0.4 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not in a family's sample, except where a test is named by itself or has failed before."""
    if config.getoption("lf", False) or any("::" in argument for argument in config.args):
        return
    left = set(samples.unsampled(items))
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a test in which a planted secret came out an error; by its end all that it printed is known."""
    report = yield
    if call.when == "teardown":
        for where, shown in report.sections:
            planted.look(where, shown)
        found = planted.taken()
        if found and item.get_closest_marker("shows_secrets") is None and report.passed:
            report.outcome = "failed"
            report.longrepr = "planted secrets came out:\n" + "\n".join(found)
    return report


@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Look at what a test reads back: it is in no report."""
    read = capsys.readouterr

    def watched() -> pytest.CaptureResult[str]:  # type: ignore[name-defined]  # pytest's stubs hide it
        found = read()
        planted.look("what was printed", found.out + found.err)
        return found

    capsys.readouterr = watched  # type: ignore[method-assign]  # for this test alone
    yield capsys


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name gzip by its parameter: the time stands in its header, and all workers must have the same names."""
    return argname if isinstance(val, bytes) and b"\x1f\x8b" in val else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules that say BOTH_LOOPS on asyncio and on uvloop, except those that choose a loop."""
    if "nothing_left" in metafunc.fixturenames and "anyio_backend" not in metafunc.fixturenames:
        pytest.fail(f"{metafunc.function.__name__} uses the async fixture nothing_left: write it 'async def'")
    chosen = any("anyio_backend" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if getattr(metafunc.module, "BOTH_LOOPS", False) and "anyio_backend" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("anyio_backend", LOOPS, ids=["asyncio", "uvloop"])


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return CHECKED


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or an open file behind; what closes does so in a few turns of the loop."""
    from kit import GUARD_S  # not sooner: a module that has taken ``running`` before ``planted.watch`` is not watched

    loop = asyncio.get_running_loop()
    if isinstance(loop, QuickLoop | QuickUvLoop):
        loop.jobs.mind_threads()
    if is_uvloop():  # libuv keeps a file of its own from the first socket on
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        server.close()
        await server.wait_closed()
    tasks, files = len(asyncio.all_tasks()), _files()
    yield
    for _ in range(int(GUARD_S / 0.005)):
        left = len(asyncio.all_tasks()) - tasks, _files() - files
        # What an earlier test left open may be closed by the collector meanwhile.
        if left[0] == 0 and left[1] <= 0:
            return
        await anyio.sleep(0.005)
    raise AssertionError(left, [task.get_name() for task in asyncio.all_tasks()])


def _files() -> int:
    return len(os.listdir("/proc/self/fd")) - planted.held_files()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()

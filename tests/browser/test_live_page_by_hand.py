"""The live page by keyboard, and what its buttons do."""

from __future__ import annotations

import anyio

from ampmap.records.record import Record

from .chromium import Browser, Page
from .livetraffic import Traffic, a_days_work, traffic

ROWS = "[...document.querySelectorAll('#records tbody')].filter(each => !each.hidden)"


async def opened(tab: Page, at: Traffic, width: int = 1440) -> None:
    await tab.looks(width, 900, "light")
    await tab.go(at.home)
    await tab.until(f"{ROWS}.length > 5 && document.querySelector('#uncovered li')")


async def focused(tab: Page) -> str:
    """Return what has the focus, which can be seen: nothing may have it without an outline within the window."""
    found = await tab.run("""
        const each = document.activeElement, box = each.getBoundingClientRect(), style = getComputedStyle(each);
        const seen = style.outlineStyle !== 'none' && box.width > 3 && box.top >= 0 && box.bottom <= innerHeight;
        return [seen || each === document.body || each.id === 'decisions',
            each.id || each.getAttribute('aria-label') || each.innerText.trim()];
    """)
    assert found[0], found
    return str(found[1])


async def test_all_of_it_is_reached_by_keyboard(browser: Browser) -> None:
    async with traffic() as at:
        await a_days_work(at)
        async with browser.page() as tab:
            await opened(tab, at)
            await tab.press("Tab")
            assert "Skip to the decisions" == await focused(tab)
            await tab.press("Enter")
            assert "decisions" == await focused(tab)
            path: list[str] = []
            while (len(path) < 30) and (not path or path[-1] != ""):
                await tab.press("Tab")
                path.append(
                    "" if await tab.run("return document.activeElement === document.body") else await focused(tab)
                )

    assert ["Models", "Trouble", "All", "pause"] == path[:4]
    assert "all of this request" in path[4] and "all of this request" not in path[5]  # one of all rows
    assert 2 == sum(each.startswith("Copy the command for ") for each in path)
    assert 3 == sum(" model" in each for each in path)
    assert "" == path[-1]


async def test_arrow_keys_go_through_the_records_and_enter_shows_one(browser: Browser) -> None:
    row = "document.activeElement.closest('tbody')"
    async with traffic() as at:
        await a_days_work(at)
        for width in (1440, 360):
            async with browser.page() as tab:
                await opened(tab, at, width)
                await tab.run("document.querySelector('#pause').focus()")
                await tab.press("Tab")
                places = []
                for key in ("Home", "ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown"):
                    await tab.press(key)
                    await focused(tab)
                    places.append(await tab.run(f"return {ROWS}.indexOf({row}) - {ROWS}.length"))
                await tab.press("Enter")
                expanded = await tab.run(f"return [document.activeElement.ariaExpanded, {row}.innerText]")
                await tab.press(" ")
                again = await tab.run(f"return [document.activeElement.ariaExpanded, {row}.innerText]")

            count = -places[0]
            assert [0, 1, 2, 1, count - 1, count - 1] == [place + count for place in places]
            assert "true" == expanded[0] and "request id" in expanded[1] and "duration ms" in expanded[1]
            assert "false" == again[0] and "request id" not in again[1]


async def test_the_command_is_copied(browser: Browser) -> None:
    async with traffic() as at:
        await a_days_work(at)
        async with browser.page() as tab:
            await opened(tab, at)
            await browser.permit(at.home.removesuffix("/_ampmap/"), "clipboardReadWrite", "clipboardSanitizedWrite")
            await tab.call("Page.bringToFront")
            await tab.run("document.querySelector('#uncovered button').focus()")
            await tab.press("Enter")
            await tab.until("document.querySelector('#said').textContent.startsWith('Copied: ampmap map add')")
            copied = await tab.run("return navigator.clipboard.readText()")
            command = await tab.run("return document.querySelector('#uncovered code').textContent")

    assert command == copied


async def test_a_paused_page_stays_as_it_is(browser: Browser) -> None:
    async with traffic() as at:
        await a_days_work(at)
        async with browser.page() as tab:
            await opened(tab, at)
            before = await tab.run(f"return {ROWS}.length")
            await tab.run("document.querySelector('#pause').click()")
            await at.ask("claude-opus-5")
            await tab.until("document.querySelector('#pause').textContent === 'Resume (1 new)'")
            assert before == await tab.run(f"return {ROWS}.length")
            await tab.run("document.querySelector('#pause').click()")
            assert before + 1 == await tab.run(f"return {ROWS}.length")


async def test_trouble_is_what_failed_or_cost_credits_and_all_is_all(browser: Browser) -> None:
    async with traffic() as at:
        await a_days_work(at)
        async with browser.page() as tab:
            await opened(tab, at)
            await tab.run("document.querySelector('[data-which=trouble]').click()")
            trouble = await tab.run(f"return {ROWS}.map(each => each.innerText)")
            await tab.run("document.querySelector('[data-which=all]').click()")
            everything = await tab.run(f"return {ROWS}.length")
            recent = len(at.proxy.service.journal.recent)

    assert all("Amp credits" in each or "error" in each or "rejected" in each or "lost" in each for each in trouble)
    assert 5 < len(trouble) < everything == recent


async def test_only_the_last_two_hundred_are_kept(browser: Browser) -> None:
    async with traffic() as at:
        await a_days_work(at)
        async with browser.page() as tab:
            await opened(tab, at)
            journal = at.proxy.service.journal
            for number in range(450):
                journal.write(Record(route_type="LOCAL_PROVIDER", requested_model=f"m{number}", status=200))
                if number % 50 == 0:
                    await anyio.sleep(0.01)
            await tab.until("document.querySelector('#records').tBodies[0].innerText.includes('m449')")
            kept = await tab.run("return document.querySelector('#records').tBodies.length")

    assert 200 == kept


async def test_without_motion_nothing_moves(browser: Browser) -> None:
    async with traffic() as at, browser.page() as tab:
        for still in (False, True):
            await tab.looks(1440, 900, "light", still=still)
            await tab.go(at.home)
            await tab.until("document.querySelector('#link').textContent === 'live'")
            await anyio.sleep(1.6)  # what comes later than that is new
            await at.ask("claude-opus-5", text=str(still))
            await tab.until("document.querySelector('#records tbody.new')")
            moves = await tab.run("return getComputedStyle(document.querySelector('tbody.new td')).animationName")
            assert ("none" if still else "arrive") == moves

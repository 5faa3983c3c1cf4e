"""Programs made with vendors' SDKs, ``llm`` and LiteLLM's client do their job through ampmap."""

from __future__ import annotations

import re
from typing import get_args

from .asks import Format
from .cases import Case, Seen, assert_the_job_is_done, cases
from .sdks import SDKS

CELLS: list[tuple[str, Format]] = [(name, spoken) for name in SDKS for spoken in get_args(Format)]

_LIMIT_S = 240.0  # LiteLLM's import alone takes a minute on a busy machine
_OWN_FILE = """\
- {model_id: mine, model_name: gpt-4.1, api_base: 'http://127.0.0.1:8267/v1', supports_tools: true}
"""
_BY_ITS_OWN_FILE = {
    "by_hand": True,
    "limit_s": _LIMIT_S,
    "files": {".config/io.datasette.llm/extra-openai-models.yaml": _OWN_FILE},
    "arguments": ("-m", "mine"),
}


def assert_done_after_two_requests(seen: Seen) -> None:
    assert_the_job_is_done(seen)
    assert not re.search("both .* are set|are both set", seen.said, re.IGNORECASE), seen.said
    assert [("MODEL_MAPPING", 200, "ok")] * 2 == [(r["route_type"], r["status"], r["outcome"]) for r in seen.asked]
    seen.note("done after 2 requests")


@cases("tool turn, run --as", CELLS, via="run", limit_s=_LIMIT_S)
def test_a_program_does_its_job(case: Case, seen: Seen) -> None:
    assert_done_after_two_requests(seen)


@cases("tool turn, its own file", [("llm-chat", spoken) for spoken in get_args(Format)], **_BY_ITS_OWN_FILE)
def test_llm_does_its_job_where_its_own_file_names_the_address(case: Case, seen: Seen) -> None:
    assert_done_after_two_requests(seen)

"""Where requests of a format have the facts that rules with a ``when`` look at. Pure.

``routing.conditions`` reads these facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SYSTEM_ROLES: Final = ("system", "developer")
"""Roles of messages that are system prompts."""


def chosen_tool(choice: Any) -> str:
    """Return the tool that a ``tool_choice`` names, itself or in its ``function``; empty if it names none."""
    if not isinstance(choice, dict):
        return ""
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else choice.get("name")
    return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMembers:
    """The names of members.

    * ``messages``: the list of messages. With ``roleless_users`` a message without a role is the user's. With
      ``messages_bring_tools`` messages may have ``tools`` of their own.
    * ``system``: members with the system prompt, which is a text, a list of parts with a ``text`` each, or those of the
      messages that have one of SYSTEM_ROLES.
    * ``tools``: members with the offered tools. ``built_in_tools``: members that offer the tool of their own name.
    * ``forced_tool``: for a member, the function that returns the one tool that it forces, or an empty text.
    * ``image_types``: the types of parts that are images.
    """

    messages: str = "messages"
    roleless_users: bool = False
    messages_bring_tools: bool = False
    system: tuple[str, ...] = ()
    tools: tuple[str, ...] = ("tools",)
    built_in_tools: tuple[str, ...] = ()
    forced_tool: Mapping[str, Callable[[Any], str]] = field(default_factory=lambda: {"tool_choice": chosen_tool})
    image_types: tuple[str, ...] = ()


PLAIN: Final = RequestMembers()
"""The members that most formats have."""

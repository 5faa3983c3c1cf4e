"""The answers that ampmap makes by itself: errors in the asker's own format, with words that help.

Pure. A client shows its user the ``message`` of the format it knows, so that is where the help goes: which model, who
was looked at, and the line of configuration that would change it.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from .headers import printable
from .mapping import Availability, Offer, Snapshot, is_glob, split_suffix
from .router import Decision, decide, shown_rule, unmet
from .settings import Protocol

_UNASKED = Offer()

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# https://platform.openai.com/docs/guides/error-codes
_OPENAI = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
}
# https://cloud.google.com/apis/design/errors
_GEMINI = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(protocol: Protocol | None, status: int, message: str) -> bytes:
    """Return an error as JSON in ``protocol``'s form; OpenAI's where the asker speaks none in particular."""
    body: object
    if protocol == "anthropic":
        kind = _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {"type": "error", "error": {"type": kind, "message": message}}
    elif protocol == "gemini":
        word = _GEMINI.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        body = {"error": {"code": status, "message": message, "status": word}}
    else:
        kind, code = _OPENAI.get(status, ("api_error" if status >= 500 else "invalid_request_error", None))
        body = {"error": {"message": message, "type": kind, "code": code}}
    return json.dumps(body).encode()


def plain_body(message: str) -> bytes:
    """Return an error in the form that Amp's own routes use."""
    return json.dumps({"error": message}).encode()


def amp_unreachable() -> bytes:
    """Return the body of the 502 for an Amp upstream that can't be reached; Amp's users know its wording."""
    return json.dumps({"error": "amp_upstream_proxy_error", "message": "Failed to reach Amp upstream"}).encode()


def reason_of(status: int) -> bytes:
    """Return the standard reason phrase of ``status``."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def yaml_line(model: str, target: str = "<a model you serve>") -> str:
    """Return the line of configuration that maps ``model``; YAML reads its escapes back."""
    quoted = [printable(json.dumps(name, ensure_ascii=False)) for name in (model, target)]
    return f"amp-model-mappings: [{{from: {quoted[0]}, to: {quoted[1]}}}]"


def no_provider(decision: Decision, snapshot: Snapshot, availability: Availability) -> str:
    """Say why nobody serves a model, and what to write so that somebody does."""
    ask = decision.ask
    if not ask.model:
        return "the request names no model, and there is no Amp upstream that it could be passed on to"
    looked_at = []
    for provider in snapshot.settings.providers:
        if any(who is provider for who, _ in snapshot.listing(split_suffix(ask.model)[0], availability)):
            rests = provider.name in availability.resting
            why = "lists it, but rests after failing to connect" if rests else f"does not speak {ask.protocol}"
        elif provider.discover and (error := availability.offers.get(provider.name, _UNASKED).error):
            why = f"could not be asked for its models: {error}"
        else:
            why = "does not list it"
        looked_at.append(f"{provider.name} ({why})")
    for rule in snapshot.rules_for(ask.model):
        failing = unmet(rule.when, ask) if rule.when else ""
        why = f"its condition does not hold: {failing}" if failing else f"no target is served in {ask.protocol}"
        looked_at.append(f"rule {shown_rule(rule)} ({why})")
    seen = "; ".join(looked_at) if looked_at else "no provider is configured"
    return (
        f"no provider serves {ask.model!r} in {ask.protocol}. Looked at: {seen}. "
        f"Add the model to a provider's 'models', or map it: {yaml_line(ask.model, served_example(decision, snapshot))}"
    )


def refused_credits(decision: Decision, snapshot: Snapshot) -> str:
    """Say that credits were not spent, which setting said so, and what would serve the model instead."""
    model = decision.ask.model
    by = f"rule {shown_rule(decision.credits_rule)}" if decision.credits_rule else "amp-credits: refuse"
    if not model:
        why = ", whatever model it may mean" if decision.credits_rule else ""
        return f"this request names no model that can be read, and it would cost Amp credits, refused by {by}{why}"
    line = yaml_line(model, served_example(decision, snapshot))
    return f"no local provider serves {model!r}, and Amp credits are refused by {by}. To serve it yourself: {line}"


def all_rest(decision: Decision, snapshot: Snapshot, availability: Availability) -> bool:
    """Tell whether somebody would serve the model but for a rest: then the want of a provider is a passing one."""
    ask = decision.ask
    return bool(availability.resting) and bool(
        decide(ask, snapshot, Availability(frozenset(), availability.offers)).candidates
    )


def served_example(decision: Decision, snapshot: Snapshot) -> str:
    """Return a model that could stand as a mapping's target for this ask: one that is served in its protocol."""
    for provider in snapshot.settings.providers:
        if decision.ask.protocol is None or provider.endpoint(decision.ask.protocol):
            for entry in provider.models:
                if not is_glob(entry):
                    return entry.id
    return "<a model you serve>"

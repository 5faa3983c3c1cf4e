"""What a page tries against a proxy on the same machine, each as a script that returns what it could read.

``P`` is the proxy's URL and ``E`` the page's own origin; a script returns null when it learnt nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

PRELUDE = """
const model = P + '/v1/chat/completions', amp = P + '/api/internal?x', status = P + '/_ampmap/status';
const body = '{"model":"m","messages":[]}';
const read = async answer => {
    try {
        const got = await answer, text = await got.text();
        return got.status || text ? [got.type, got.status, text] : null;
    } catch (error) { return null; }
};
// Put an element into the page and wait until it has loaded or failed.
const put = (tag, fields, into = document.body) => new Promise(resolve => {
    const element = Object.assign(document.createElement(tag), fields);
    element.onload = element.onerror = element.onloadeddata = () => resolve(element);
    into.append(element);
});
const image = async fields => (await put('img', fields)).naturalWidth || null;
const inside = frame => {
    try { return frame.contentDocument && frame.contentDocument.body.innerText || null; }
    catch (error) { return null; }
};
const form = (action, fields) => new Promise(resolve => {
    const frame = Object.assign(document.createElement('iframe'), {name: 'f'});
    const form = Object.assign(document.createElement('form'), {action, method: 'post', target: 'f', ...fields});
    form.innerHTML = '<input name=\\'{"model":"m","x":"\\' value=\\'"}\\'>';
    document.body.append(frame, form);
    setTimeout(() => { frame.onload = () => resolve(inside(frame)); form.submit(); }, 0);
});
const xhr = (method, url, fields, data) => new Promise(resolve => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const name in fields) request.setRequestHeader(name, fields[name]);
    request.onload = () => resolve([request.status, request.responseText]);
    request.onerror = () => resolve(request.responseText || null);
    request.send(data);
});
const socket = url => new Promise(resolve => {
    const socket = new WebSocket(url.replace('http', 'ws'));
    socket.onopen = () => resolve('open');
    socket.onmessage = event => resolve(event.data);
    socket.onerror = () => resolve(null);
});
const source = url => new Promise(resolve => {
    const source = new EventSource(url, {withCredentials: true});
    source.onopen = source.onmessage = () => { source.close(); resolve('open'); };
    source.onerror = () => { source.close(); resolve(null); };
});
const framed = (fields, script) => new Promise(resolve => {
    onmessage = event => resolve(event.data);
    const frame = Object.assign(document.createElement('iframe'), fields);
    document.body.append(frame);
});
const opened = async url => {
    const other = open(url);
    while (true) {  // until it is somebody else's
        try { if (!other.document) return 'no window'; } catch (error) { break; }
        await new Promise(resolve => setTimeout(resolve, 5));
    }
    try { return other.document.body.innerText; } catch (error) { return null; } finally { other.close(); }
};
// A script for a page that is nobody's: it tells the page around it what it could read.
const telling = `<script>
    fetch(${JSON.stringify(model)}, {method: 'POST', body: ${JSON.stringify(body)}}).then(answer => answer.text())
        .then(text => parent.postMessage(text, '*'), () => parent.postMessage(null, '*'));
</script>`.replace('<\\/', '</');
"""


@dataclass(frozen=True)
class Attempt:
    """A script, and the methods of the requests with which it comes to the proxy, in order."""

    name: str
    script: str
    comes: tuple[str, ...] = ("GET",)

    def source(self, proxy: str, origin: str) -> str:
        """Return the whole script."""
        return f"const P = {json.dumps(proxy)}, E = {json.dumps(origin)};{PRELUDE}{self.script}"


POST, PREFLIGHT = ("POST",), ("OPTIONS",)

ATTEMPTS = (
    Attempt("fetch", "return read(fetch(status))"),
    Attempt("fetch the model list", "return read(fetch(P + '/v1/models'))"),
    Attempt("fetch a management page", "return read(fetch(amp))"),
    Attempt("fetch what is Amp's beside the models", "return read(fetch(P + '/api/provider/x/y'))"),
    Attempt("fetch the home page", "return read(fetch(P + '/'))"),
    Attempt("fetch what is not there", "return read(fetch(P + '/nothing'))"),
    Attempt("fetch no-cors", "return read(fetch(status, {mode: 'no-cors'}))"),
    Attempt("fetch no-cors with credentials", "return read(fetch(amp, {mode: 'no-cors', credentials: 'include'}))"),
    Attempt("fetch with credentials", "return read(fetch(amp, {credentials: 'include'}))"),
    Attempt("fetch HEAD", "return read(fetch(status, {method: 'HEAD'}))", ("HEAD",)),
    Attempt("fetch keepalive", "return read(fetch(model, {method: 'POST', body, keepalive: true}))", POST),
    Attempt("fetch without a referrer", "return read(fetch(amp, {referrerPolicy: 'no-referrer'}))"),
    Attempt("fetch as if same-origin", "return read(fetch(status, {mode: 'same-origin'}))", ()),
    Attempt("post text", "return read(fetch(model, {method: 'POST', body}))", POST),
    Attempt("post text no-cors", "return read(fetch(model, {method: 'POST', mode: 'no-cors', body}))", POST),
    Attempt(
        "post text no-cors without a referrer",
        "return read(fetch(model, {method: 'POST', mode: 'no-cors', body, referrerPolicy: 'no-referrer'}))",
        POST,
    ),
    Attempt("post text to Amp", "return read(fetch(amp, {method: 'POST', mode: 'no-cors', body}))", POST),
    Attempt("post a blob", "return read(fetch(model, {method: 'POST', body: new Blob([body])}))", POST),
    Attempt(
        "post JSON",
        "return read(fetch(model, {method: 'POST', headers: {'content-type': 'application/json'}, body}))",
        PREFLIGHT,
    ),
    Attempt("ask with a key", "return read(fetch(status, {headers: {'x-api-key': 'k'}}))", PREFLIGHT),
    Attempt("ask as Amp", "return read(fetch(P + '/api/nobody', {headers: {'x-amp-x': '1'}}))", PREFLIGHT),
    Attempt("put", "return read(fetch(amp, {method: 'PUT', body}))", PREFLIGHT),
    Attempt("XHR", "return xhr('GET', status, {})"),
    Attempt("XHR post", "return xhr('POST', model, {'content-type': 'text/plain'}, body)", POST),
    Attempt("XHR with fields", "return xhr('POST', model, {authorization: 'Bearer k'}, body)", PREFLIGHT),
    Attempt("XHR watched while it uploads", """
        return new Promise(resolve => {
            const request = new XMLHttpRequest();
            request.upload.onprogress = () => 0;
            request.open('POST', model);
            request.onload = () => resolve(request.responseText);
            request.onerror = () => resolve(null);
            request.send(body);
        })
    """, PREFLIGHT),
    Attempt("form", "return form(model, {})", POST),
    Attempt("form as text", "return form(model, {enctype: 'text/plain'})", POST),
    Attempt("form in parts", "return form(model, {enctype: 'multipart/form-data'})", POST),
    Attempt("form to Amp", "return form(amp, {enctype: 'text/plain'})", POST),
    Attempt("form that gets", "return form(status, {method: 'get'})"),
    Attempt("beacon", "navigator.sendBeacon(model, body); return null", POST),
    Attempt("beacon with JSON", """
        navigator.sendBeacon(model, new Blob([body], {type: 'application/json'})); return null
    """, PREFLIGHT),
    Attempt("ping of a link", """
        const link = Object.assign(document.createElement('a'), {href: 'about:blank', target: 'p', ping: amp});
        document.body.append(link); link.click(); return null
    """, POST),
    Attempt("image", "return image({src: status})"),
    Attempt("image of Amp's", "return image({src: amp})"),
    Attempt("image with CORS", "return image({crossOrigin: 'use-credentials', src: amp})"),
    Attempt("script", "await put('script', {src: status}); return null"),
    Attempt("module", "return import(status).then(() => 'imported', () => null)"),
    Attempt("style sheet", """
        const link = await put('link', {rel: 'stylesheet', href: status});
        try { return link.sheet && link.sheet.cssRules.length ? 'read' : null } catch (error) { return null }
    """),
    Attempt("font", "return new FontFace('x', `url(${amp})`).load().then(() => 'loaded', () => null)"),
    Attempt("video", "return (await put('video', {src: amp})).duration || null"),
    Attempt("frame", "return inside(await put('iframe', {src: status}))"),
    Attempt("frame of Amp's", "return inside(await put('iframe', {src: P + '/auth/cli-login'}))"),
    Attempt("object", "return inside(await put('object', {data: amp}))"),
    Attempt("embed", "await put('embed', {src: amp, type: 'text/html'}); return null"),
    Attempt("event source", "return source(model)"),
    Attempt("event source of Amp's", "return source(amp)"),
    Attempt("WebSocket to Amp", "return socket(P + '/api/thread-actors')"),
    Attempt("WebSocket to a model", "return socket(P + '/v1/responses')"),
    Attempt("sandboxed frame", "return framed({sandbox: 'allow-scripts', srcdoc: telling})", POST),
    Attempt("data: frame", "return framed({src: 'data:text/html,' + encodeURIComponent(telling)})", POST),
    Attempt("sandboxed form", """
        const frame = Object.assign(document.createElement('iframe'), {sandbox: 'allow-scripts allow-forms'});
        frame.srcdoc = `<form method=post enctype=text/plain action="${model}"><input name='{"model":"m","x":"'
            value='"}'></form><script>document.forms[0].submit()</script>`.replace('<\\\\/', '</');
        document.body.append(frame); return null
    """, POST),
    Attempt("worker", """
        return new Promise(resolve => {
            const worker = new Worker('/worker.js');
            worker.onmessage = event => resolve(event.data);
            worker.postMessage([model, {method: 'POST', body}]);
        })
    """, POST),
    Attempt("worker of a blob", """
        return new Promise(resolve => {
            const url = URL.createObjectURL(new Blob([`fetch('${amp}').then(a => a.text()).then(
                text => postMessage(text), () => postMessage(null))`]));
            new Worker(url).onmessage = event => resolve(event.data);
        })
    """),
    Attempt("script of a worker", """
        return new Promise(resolve => {
            const url = URL.createObjectURL(new Blob([`
                try { importScripts('${status}'); postMessage('ran'); } catch (error) { postMessage(null); }`]));
            new Worker(url).onmessage = event => resolve(event.data);
        })
    """),
    Attempt("redirect, 302", "return read(fetch(E + '/redirect/302?' + status))"),
    Attempt("redirect, 302 after a post", "return read(fetch(E + '/redirect/302?' + amp, {method: 'POST', body}))"),
    Attempt("redirect, 307", "return read(fetch(E + '/redirect/307?' + model, {method: 'POST', body}))", POST),
    Attempt("redirect, 308", """
        return read(fetch(E + '/redirect/308?' + model, {method: 'POST', mode: 'no-cors', body}))
    """, POST),
    Attempt("redirect of a form", "return form(E + '/redirect/307?' + model, {enctype: 'text/plain'})", POST),
    Attempt("redirect of an image", "return image({src: E + '/redirect/302?' + amp})"),
    Attempt("redirect of a frame", "return inside(await put('iframe', {src: E + '/redirect/302?' + amp}))"),
    Attempt("prefetch", "await put('link', {rel: 'prefetch', href: amp}, document.head); return null"),
    Attempt("preload", "await put('link', {rel: 'preload', as: 'fetch', href: amp}, document.head); return null"),
    Attempt("module preload", "await put('link', {rel: 'modulepreload', href: amp}, document.head); return null"),
    Attempt("report of a policy", "await put('iframe', {src: '/reports?' + model}); return null", POST),
    Attempt("connection ahead", "document.head.append(Object.assign(document.createElement('link'),"
            "{rel: 'preconnect', href: P})); return null", ()),
    Attempt("image of CSS", "document.body.style.backgroundImage = `url(${amp})`; return null"),
    Attempt("image of CSS with CORS", "document.body.style.maskImage = `url(${amp})`; return null"),
    Attempt("import of CSS", "await put('style', {textContent: `@import '${status}';`}); return null"),
    Attempt("font of CSS", """
        await put('style', {textContent: `@font-face { font-family: theirs; src: url(${amp}) }`});
        return document.fonts.load('1em theirs').then(found => found.length || null, () => null)
    """),
    Attempt("image of several", "return image({srcset: amp + ' 1x'})"),
    Attempt("image of SVG", "document.body.innerHTML = `<svg><image href='${amp}'></image></svg>`; return null"),
    Attempt("button", "await put('input', {type: 'image', src: amp}); return null"),
    Attempt("audio", "return (await put('audio', {src: amp})).duration || null"),
    Attempt("poster", "Object.assign(document.body.appendChild(document.createElement('video')), {poster: amp}); "
            "return null"),
    Attempt("subtitles", """
        const video = document.createElement('video'), track = document.createElement('track');
        Object.assign(video, {crossOrigin: 'use-credentials', src: '/x.mp4'}); video.append(track);
        document.body.append(video); track.src = amp; track.track.mode = 'hidden';
        await new Promise(resolve => track.onload = track.onerror = resolve);
        return track.track.cues && track.track.cues.length || null
    """),
    Attempt("worker whose script it is", "try { new Worker(status); return 'runs' } catch (error) { return null }", ()),
    Attempt("shared worker", """
        return new Promise(resolve => {
            const url = URL.createObjectURL(new Blob([`onconnect = ({ports: [port]}) =>
                fetch('${model}', {method: 'POST', body: '${body}'}).then(a => a.text()).then(
                    text => port.postMessage(text), () => port.postMessage(null))`]));
            new SharedWorker(url).port.onmessage = event => resolve(event.data);
        })
    """, POST),
    Attempt("frame that refreshes itself", """
        await put('iframe', {srcdoc: `<meta http-equiv=refresh content="0;url=${P}/auth/cli-login">`}); return null
    """),
    Attempt("frame of XML", "return inside(await put('iframe', {src: P + '/threads/x.xml'}))"),
    Attempt("WebSocket to the status", "return socket(P + '/_ampmap/status')"),
    Attempt("WebSocket with a key", """
        return new Promise(resolve => {
            const socket = new WebSocket(P.replace('http', 'ws') + '/api/thread-actors', ['bearer', 'sgamp_key']);
            socket.onopen = () => resolve('open'); socket.onerror = () => resolve(null);
        })
    """),
    Attempt("fetch by the name localhost", "return read(fetch(P.replace('127.0.0.1', 'localhost') + '/v1/models'))"),
    Attempt("post by the name localhost", """
        return read(fetch(model.replace('127.0.0.1', 'localhost'), {method: 'POST', mode: 'no-cors', body}))
    """, POST),
    Attempt("post by a name below localhost", """
        return read(fetch(model.replace('127.0.0.1', 'x.localhost'), {method: 'POST', mode: 'no-cors', body}))
    """, POST),
    Attempt("image by a short address", "return image({src: amp.replace('127.0.0.1', '127.1')})"),
    Attempt("image by a number", "return image({src: amp.replace('127.0.0.1', '2130706433')})"),
    Attempt("fetch that names the loopback", "return read(fetch(status, {targetAddressSpace: 'loopback'}))"),
    Attempt("window with the status", "return opened(status)"),
    Attempt("window with the model list", "return opened(P + '/v1/models')"),
    Attempt("window with a model route", "return opened(model)"),
    Attempt("window without an opener", "open(status, '_blank', 'noopener'); return null"),
    Attempt("link", """
        const link = Object.assign(document.createElement('a'), {href: P + '/v1/models', target: '_blank'});
        document.body.append(link); link.click(); return null
    """),
    Attempt("window with a form", """
        const sent = Object.assign(document.createElement('form'), {
            action: P + '/auth/cli-login', method: 'post', target: '_blank', enctype: 'text/plain'});
        document.body.append(sent); sent.submit(); return null
    """, POST),
)  # fmt: skip


def _rules(kind: str, path: str) -> str:
    return f"""
        const rules = document.createElement('script');
        rules.type = 'speculationrules';
        rules.textContent = JSON.stringify({{{kind}: [{{urls: [P + '{path}'], eagerness: 'immediate'}}]}});
        document.head.append(rules); return null
    """


AHEAD = tuple(
    Attempt(f"{kind} of {path}", _rules(kind, path))
    for kind in ("prefetch", "prerender")
    for path in ("/auth/cli-login", "/api/internal", "/api/provider/x/y", "/_ampmap/status", "/v1/models")
)

# Of a page that the browser takes for the proxy's own.
REBOUND = (
    Attempt("fetch", "return read(fetch(status))"),
    Attempt("fetch a management page", "return read(fetch(amp, {credentials: 'include'}))"),
    Attempt("fetch the model list", "return read(fetch(P + '/v1/models'))"),
    Attempt("post text", "return read(fetch(model, {method: 'POST', body}))", POST),
    Attempt(
        "post JSON",
        "return read(fetch(model, {method: 'POST', headers: {'content-type': 'application/json'}, body}))",
        POST,
    ),
    Attempt("put", "return read(fetch(amp, {method: 'PUT', body}))", ("PUT",)),
    Attempt("OPTIONS", "return read(fetch(amp, {method: 'OPTIONS'}))", PREFLIGHT),
    Attempt("XHR", "return xhr('POST', model, {}, body)", POST),
    Attempt("form", "return form(model, {enctype: 'text/plain'})", POST),
    Attempt("frame", "return inside(await put('iframe', {src: status}))"),
    Attempt("event source", "return source(model)"),
    Attempt("WebSocket to Amp", "return socket(P + '/api/thread-actors')"),
    Attempt("script", "await put('script', {src: status}); return null"),
    Attempt("beacon", "navigator.sendBeacon(model, body); return null", POST),
    Attempt("worker", """
        return new Promise(resolve => {
            const url = URL.createObjectURL(new Blob([`fetch('${amp}').then(a => a.text()).then(
                text => postMessage(text), () => postMessage(null))`]));
            new Worker(url).onmessage = event => resolve(event.data);
        })
    """),
)  # fmt: skip

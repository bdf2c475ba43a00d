"""A model of Amazon Bedrock for local runs and tests: Converse over HTTP, with a player behind it.

It answers `POST /model/{id}/converse`, and what applies a guardrail, as AWS does (AWS: "Converse"
and "ApplyGuardrail" in the Amazon Bedrock API Reference), on 127.0.0.1. The player of local runs,
`good_answer`, understands nothing: it compares the learner's words with the scenario's examples,
which the prompt holds. Tests hand in players that break off, talk nonsense, or obey whatever a
learner writes.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

MODEL = "parley.stand-in-v1:0"

Json = dict[str, Any]
Player = Callable[[Json], Json]
"""Makes the answer's `message`, `stopReason` and the like of a request's body. May raise Fails."""


class Fails(Exception):
    """An answer other than 200, as AWS gives it. Without a status the connection is cut."""

    def __init__(self, status: int | None, code: str = "", body: bytes = b"") -> None:
        super().__init__(code)
        self.status, self.code, self.body = status, code, body


@dataclass
class StandIn:
    """The requests that a stand-in has had, and the player that answers them.

    `player` may be replaced at any time.
    """

    player: Player
    blocked: str = ""  # the guardrail refuses what has this word
    url: str = ""
    requests: list[Json] = field(default_factory=list)


@contextmanager
def serving(player: Player | None = None) -> Iterator[StandIn]:
    """Serves Converse on a free port while the block runs."""
    stand_in = StandIn(player or good_answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            _answer(self, stand_in)

        def log_message(self, *_: object) -> None:
            """Says nothing: a request holds what learners have said."""

    with listening(Handler) as stand_in.url:
        yield stand_in


class _Server(ThreadingHTTPServer):
    # Of Python's five, a sixth client that connects at once waits a second: our time-out.
    request_queue_size = 64
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection that sends an answer's body at once, not when its head is acknowledged."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on a free port of this machine, while the block runs."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(http: BaseHTTPRequestHandler, stand_in: StandIn) -> None:
    body = http.rfile.read(int(http.headers.get("Content-Length") or 0))
    begun = time.monotonic()
    try:
        if re.fullmatch(r"/guardrail/\w+/version/\d+/apply", http.path):
            refused = bool(stand_in.blocked) and stand_in.blocked in body.decode()
            action = "GUARDRAIL_INTERVENED" if refused else "NONE"
            _send(http, 200, {"action": action, "outputs": [], "assessments": [], "usage": {}})
            return
        request = _checked(http, body)
        stand_in.requests.append(request)
        answer = stand_in.player(request)
        output = json.dumps(answer.get("output", {}), ensure_ascii=False)
        used = {"inputTokens": len(body) // 4, "outputTokens": len(output.encode()) // 4}
        used["totalTokens"] = sum(used.values())
        latency_ms = int((time.monotonic() - begun) * 1000)
        _send(http, 200, {"usage": used, "metrics": {"latencyMs": latency_ms}} | answer)
    except Fails as failure:
        if failure.status is None:
            http.close_connection = True
            http.connection.close()
        elif failure.body:
            _send(http, failure.status, failure.body)
        else:
            _send(http, failure.status, {"message": "made up"}, failure.code)


def _send(http: BaseHTTPRequestHandler, status: int, body: Json | bytes, code: str = "") -> None:
    sent = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    http.send_response(status)
    http.send_header("Content-Type", "application/json")
    http.send_header("Content-Length", str(len(sent)))
    if code:
        http.send_header("x-amzn-ErrorType", code)
    http.end_headers()
    http.wfile.write(sent)


def _checked(http: BaseHTTPRequestHandler, body: bytes) -> Json:
    """The request with its model's id. Raises Fails for one that AWS would refuse."""
    path = re.fullmatch(r"/model/([^/]+)/converse", http.path)
    if path is None:
        raise Fails(404, "UnknownOperationException")
    signature = http.headers.get("Authorization", "")
    if not re.match(r"AWS4-HMAC-SHA256 Credential=\S+/bedrock/aws4_request,", signature):
        raise Fails(403, "AccessDeniedException")
    request: Json = json.loads(body)
    roles = [message["role"] for message in request["messages"]]
    expected = ["user", "assistant"] * len(roles)
    if not roles or roles != expected[: len(roles)] or roles[-1] != "user":
        raise Fails(400, "ValidationException")
    return {"modelId": unquote(path[1]), **request}


# --- Players --------------------------------------------------------------------------------------


def tool_call(request: Json, fields: Any) -> Json:
    """The answer that calls the request's tool with these fields."""
    [tool] = request["toolConfig"]["tools"]
    use = {"toolUseId": "tooluse_1", "name": tool["toolSpec"]["name"], "input": fields}
    message = {"role": "assistant", "content": [{"toolUse": use}]}
    return {"output": {"message": message}, "stopReason": "tool_use"}


def told(request: Json, name: str) -> Any:
    """A part of the system prompt: SCENARIO, SESSION, RUBRIC. None if it is not there."""
    for block in request["system"]:
        word, _, rest = block.get("text", "").partition(" ")
        if word == name:
            return json.loads(rest)
    return None


def heard(request: Json) -> Json:
    """The JSON of the last message that the learner's words came in."""
    for message in reversed(request["messages"]):
        for block in message["content"]:
            text = block.get("text") or block.get("guardContent", {}).get("text", {}).get("text")
            if message["role"] == "user" and text and text.startswith("{"):
                parsed: Json = json.loads(text)
                return parsed
    return {}


# What is proposed for any title.
DRAFT: Json = {
    "situation": "You are at a kiosk and have a few minutes. Buy something, and ask what it costs.",
    "topic": "shopping",
    "learner": {"name": "Customer", "brief": "You want something to read and a bottle of water."},
    "partner": {"name": "Seller", "brief": "You have newspapers for three and water for two."},
    "opening": "Good morning! Can I help you?",
    "goals": [
        {
            "text": "Say what you would like",
            "prompt": "What can I give you?",
            "example": "I would like a newspaper, please.",
            "phrases": ["would like"],
            "answer": "Here you are, the last one.",
        },
        {
            "text": "Ask how much it is",
            "prompt": "Is that all?",
            "example": "Yes, how much is it?",
            "phrases": ["how much"],
            "answer": "That makes three, please.",
        },
        {
            "text": "Pay",
            "prompt": "Do you have it in coins?",
            "example": "Yes, here you are.",
            "phrases": ["here you are"],
            "answer": "Thank you very much.",
        },
    ],
    "farewell": "Goodbye, and have a good journey!",
    "phrases": [
        {"text": "I would like …, please.", "meaning": "how to ask for something"},
        {"text": "How much is it?", "meaning": "what to ask for the price"},
    ],
    "notes": "Practise numbers before.",
}


def good_answer(request: Json) -> Json:
    """The answer of a patient teacher, made of the scenario's own lines; and the dictionary's."""
    match request["toolConfig"]["tools"][0]["toolSpec"]["name"]:
        case "draft":
            return tool_call(request, DRAFT)
        case "define":
            return tool_call(request, _entry(heard(request)))
    scenario = told(request, "SCENARIO")
    fields = _scores(request) if scenario is None else _turn(scenario, request)
    return tool_call(request, fields)


# What is known of words: their meaning in English, part of speech, sounds, and an example.
ENTRIES = {
    ("pt", "casa"): ("house", "noun", "ˈka.zɐ", "A casa é azul."),
    ("pt", "mesa"): ("table", "noun", "ˈme.zɐ", "A mesa é de madeira."),
    ("pt", "pão"): ("bread", "noun", "pɐ̃w̃", "O pão está fresco."),
    ("es", "gato"): ("cat", "noun", "ˈɡa.to", "El gato duerme."),
    ("de", "Haus"): ("house", "noun", "haʊ̯s", "Das Haus ist blau."),
    ("fr", "maison"): ("house", "noun", "mɛ.zɔ̃", "La maison est bleue."),
}


def _entry(asked: Json) -> Json:
    """What is known of a word; of all else the words that are known."""
    base = asked["from"].partition("-")[0]
    known = {word: entry for (language, word), entry in ENTRIES.items() if language == base}
    if not asked["to"].startswith("en"):
        known = {}

    def rendered(text: str) -> str:
        return re.sub(r"\w+", lambda word: known.get(word[0], ["something"])[0], text)

    names = ("translation", "partOfSpeech", "ipa", "example")
    entry: Json = dict(zip(names, known.get(asked["text"], ()), strict=False))
    entry.setdefault("translation", rendered(asked["text"]))
    if "context" in asked:
        entry["contextTranslation"] = rendered(asked["context"])
    return entry


def _turn(scenario: Json, request: Json) -> Json:
    session, text = told(request, "SESSION"), heard(request)["learner"]
    new = [
        goal["id"]
        for goal in scenario["goals"]
        if goal["id"] not in session["reached"]
        and _resembles(text, goal["examples"] or [goal["text"]])
    ]
    left = [goal for goal in scenario["goals"] if goal["id"] not in {*session["reached"], *new}]
    lines = scenario["lines"]
    following = (
        lines[min(session["turn"], len(lines) - 1)] if left else (scenario["endings"] or lines)[0]
    )
    if left and len(lines) == 1:  # nothing is scripted but the opening
        following = f"({left[0]['text']})"
    facts = [scenario["facts"][goal] for goal in new if goal in scenario["facts"]]
    return {
        "speaker": scenario["partner"]["id"],
        "reply": _within([following, *facts], scenario["mostWords"]),
        "goalsReached": [{"goal": goal, "evidence": text} for goal in new],
        "corrections": [],
        "newWords": [],
        "hints": [left[0]["text"], *left[0]["examples"][:1]] if left else [],
        "ended": not left,
    }


def _within(parts: list[str], most_words: int) -> str:
    """The first part, with as many of the others before it as there is room for."""
    kept = parts[:1]
    for part in parts[1:]:
        if len(" ".join([*kept, part]).split()) <= most_words:
            kept.insert(-1, part)
    return " ".join(kept)


def _resembles(text: str, examples: list[str]) -> bool:
    """Whether most words of an example stand in the text, or of a sentence of it in one sentence.

    A sentence of one or two words is no more than a greeting.
    """
    wanted = [_words(example) for example in examples]
    if any(_holds(_words(text), each) for each in wanted):
        return True
    parts = [_words(part) for example in examples for part in _sentences(example)]
    said = [_words(part) for part in _sentences(text)]
    return any(len(part) > 2 and _holds(each, part) for part in parts for each in said)


def _sentences(text: str) -> list[str]:
    return re.findall(r"[^.!?…]+", text)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _holds(words: set[str], wanted: set[str]) -> bool:
    return len(words & wanted) >= 0.6 * len(wanted)


def _scores(request: Json) -> Json:
    """Band 4 in everything, with the longest turn as evidence."""
    turns = heard(request)["turns"]
    best = max(turns, key=lambda turn: len(turn["learner"]))
    evidence = [{"turn": best["turn"], "said": best["learner"][:300]}]
    names = ("vocabulary", "grammar", "fluency", "task")
    return {name: {"band": 4, "evidence": evidence} for name in names}

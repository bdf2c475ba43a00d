"""HTML fields to plain text and back.

Our fields are text, so nothing of HTML survives but its line breaks: no tag, script, style or
event handler can. The scan is linear, whatever the input; Python's own parser is quadratic on
unclosed tags (https://github.com/python/cpython/issues/135462).
"""

import html
import re
from collections.abc import Iterable
from typing import Literal

from learning.transfer.model import Media, clean_text, media_ids, media_token

_TAG = re.compile(
    r"""<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)(?P<rest>(?:[^"'>]++|"[^"]*+"|'[^']*+')*+)>"""
)
_OPEN_TAG = re.compile("</?[a-zA-Z!?]")
_SOURCE = re.compile(r"""\bsrc\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.I)
_SOUND = re.compile(r"\[sound:([^\[\]\n]{1,300})\]")
_RAW = {"script", "style", "template", "noscript", "iframe", "object", "title", "textarea"}
_BLOCKS = {"div", "p", "ul", "ol", "table", "tr", "blockquote", "pre", "hr", "section", "article"}
_BLOCKS |= {"h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd", "figure"}
_SOFT = "\v"  # where a block begins or ends: a line break, unless there is one already
_OPENS = {"br": "\n", "li": f"{_SOFT}- ", "td": " ", "th": " ", "rt": "("}
_CLOSES = {"rt": ")", "li": _SOFT}


def text_of_html(source: str, field: str = "front") -> tuple[str, list[Media]]:
    """The text of an HTML field, and the sounds and pictures that it named (taken out of it)."""
    media: dict[Media, None] = {}  # in the order of their first mention
    text = re.sub(r"[^\S\v\n]++", " ", "".join(_pieces(source, field, media)))
    return clean_text(re.sub(r" ?[\v\n][\v\n ]*+", _lines, text)), list(media)


def _lines(run: re.Match[str]) -> str:
    """The line breaks that a browser shows for a run of them, two at most."""
    breaks = run[0].strip(" ")
    return "\n" * min(2, max(1, breaks.count("\n") + breaks.startswith(_SOFT)))


def html_of_text(text: str, media: Iterable[Media] = ()) -> str:
    """HTML that shows the text as it is, its sounds and pictures where it has them or behind it."""
    left = {item: _html_of(item) for item in media}
    shown = html.escape(text, quote=False).replace("\n", "<br>")
    for id in dict.fromkeys(media_ids(text)):
        items = [item for item in left if item.id == id]
        shown = shown.replace(media_token(id), "".join(left.pop(item) for item in items))
    return "".join([shown, *left.values()])


def _html_of(item: Media) -> str:
    name = html.escape(item.name, quote=True)
    return f"[sound:{name}]" if item.kind == "audio" else f'<img src="{name}">'


def _pieces(source: str, field: str, media: dict[Media, None]) -> Iterable[str]:
    """The text between the tags, and what stands for a tag."""
    at, size = 0, len(source)
    while (start := source.find("<", at)) >= 0:
        yield _text(source[at:start], field, media)
        if source.startswith("<!--", start):
            end = source.find("-->", start + 4)
            at = size if end < 0 else end + 3
        elif (tag := _TAG.match(source, start)) is not None:
            name = tag["name"].lower()
            at = tag.end()
            if name in _RAW and not tag["end"]:
                closing = re.compile(rf"</{name}\s*+>", re.I).search(source, at)
                at = closing.end() if closing else size
            else:
                yield _shown(name, tag, field, media)
        elif _OPEN_TAG.match(source, start):
            at = size  # a tag that never ends; browsers drop it with all that follows
        else:
            yield "<"
            at = start + 1
    yield _text(source[at:], field, media)


def _text(source: str, field: str, media: dict[Media, None]) -> str:
    text = re.sub(r"[\n\v]", " ", html.unescape(source))
    for name in _SOUND.findall(text):
        _keep("audio", name, field, media)
    return _SOUND.sub("", text)


def _shown(name: str, tag: re.Match[str], field: str, media: dict[Media, None]) -> str:
    closes = bool(tag["end"])
    if name == "img" and (match := _SOURCE.search(tag["rest"])):
        _keep("image", html.unescape(match[1] or match[2] or match[3] or ""), field, media)
    if name in _BLOCKS:
        return _SOFT
    return (_CLOSES if closes else _OPENS).get(name, "")


def _keep(kind: Literal["audio", "image"], name: str, field: str, media: dict[Media, None]) -> None:
    """Note a reference, unless it is neither a bare file name nor an https address."""
    name = clean_text(name)
    bare = not re.search(r"[/\\:\x00-\x1f]|^\.*$", name)
    if 0 < len(name) <= 300 and (bare or re.match(r"https://[^\s/]", name)):
        media[Media(kind, name, field)] = None

"""DynamoDB's expressions, each parsed once: conditions and updates as functions of an item.

Values stay as they are on the wire (`{"S": "text"}`). The grammar is in the Developer Guide,
"Using expressions in DynamoDB".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from functools import cache
from typing import Any

Value = dict[str, Any]
Values = Mapping[str, Any]
Raw = dict[str, Value]
# What an expression is asked about: an item, and the request's values of `#names` and `:values`.
Reader = Callable[[Raw, Values], Value | None]
Condition = Callable[[Raw, Values], bool]
Change = Callable[[Raw, Raw, Values], None]

TOKEN = re.compile(r"[#:]?\w+|<>|<=|>=|\S")
PRECISE = Context(prec=99)
SETS = ("SS", "NS", "BS")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Invalid(Exception):
    """A ValidationException."""


@cache
def number(text: str) -> Decimal:
    """A number as DynamoDB compares it."""
    return Decimal(text)


@cache
def canonical(text: str) -> str:
    """A number as DynamoDB gives it back."""
    plain = number(text).normalize(PRECISE)
    if len(plain.as_tuple().digits) > 38:
        raise Invalid("Attempting to store more than 38 significant digits in a Number")
    return f"{plain:f}" if plain else "0"


def scalar(value: Value | None) -> tuple[str, Any] | None:
    """What `<` compares: values of one type that has an order."""
    if value is None:
        return None
    ((kind, held),) = value.items()
    if kind == "N":
        return kind, number(held)
    return (kind, held) if kind in ("S", "B") else None


def same(one: Value | None, other: Value | None) -> bool:
    """What `=` says."""
    if one is None or other is None:
        return False
    ((kind, held),), ((kind_of_other, held_of_other),) = one.items(), other.items()
    if kind != kind_of_other:
        return False
    if kind in SETS:
        return set(held) == set(held_of_other)
    return bool(held == held_of_other)


def _size(value: Value) -> Value | None:
    ((kind, held),) = value.items()
    if kind == "S":
        return {"N": str(len(held.encode()))}
    return {"N": str(len(held))} if kind in ("B", "L", "M", *SETS) else None


class _Parser:
    """Recursive descent; each method takes its part of the text and gives its meaning."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.next()
        if not token or (wanted and token not in wanted):
            raise Invalid(f"Syntax error at {token!r} in {' '.join(self.tokens)}")
        self.at += 1
        return token

    def listed(self, part: Callable[[], Any]) -> Iterator[Any]:
        yield part()
        while self.next() == ",":
            self.take(",")
            yield part()

    def arguments(self, part: Callable[[], Any]) -> list[Any]:
        self.take("(")
        found = list(self.listed(part))
        self.take(")")
        return found

    # Conditions

    def condition(self) -> Condition:
        found = self.conjunction()
        while self.next() == "OR":
            self.take()
            found = self._either(found, self.conjunction())
        return found

    def _either(self, one: Condition, other: Condition) -> Condition:
        return lambda item, given: one(item, given) or other(item, given)

    def conjunction(self) -> Condition:
        found = self.negation()
        while self.next() == "AND":
            self.take()
            found = self._both(found, self.negation())
        return found

    def _both(self, one: Condition, other: Condition) -> Condition:
        return lambda item, given: one(item, given) and other(item, given)

    def negation(self) -> Condition:
        if self.next() == "NOT":
            self.take()
            inner = self.negation()
            return lambda item, given: not inner(item, given)
        return self.term()

    def term(self) -> Condition:
        if self.next() == "(":
            self.take()
            found = self.condition()
            self.take(")")
            return found
        if function := FUNCTIONS.get(self.next()):
            self.take()
            return function(*self.arguments(self.operand))
        return self.comparison(self.operand())

    def comparison(self, left: Reader) -> Condition:
        operator = self.take("=", "<>", "BETWEEN", "IN", *COMPARISONS)
        if operator == "BETWEEN":
            low = self.operand()
            self.take("AND")
            return self._both(_ordered(">=", left, low), _ordered("<=", left, self.operand()))
        if operator == "IN":
            options = self.arguments(self.operand)
            return lambda item, given: any(
                same(left(item, given), option(item, given)) for option in options
            )
        right = self.operand()
        if operator == "=":
            return lambda item, given: same(left(item, given), right(item, given))
        if operator == "<>":
            return lambda item, given: not same(left(item, given), right(item, given))
        return _ordered(operator, left, right)

    def operand(self) -> Reader:
        token = self.take()
        if token == "size":
            (inner,) = self.arguments(self.operand)
            return lambda item, given: _size(found) if (found := inner(item, given)) else None
        if token[0] == ":":
            return lambda item, given: given[token]
        self.at -= 1
        name = self.name()
        return lambda item, given: item.get(given[name])

    def name(self) -> str:
        name = self.take()
        if name[0] != "#" or self.next() in (".", "["):
            raise Invalid(f"{name}: neither bare names nor paths into documents are known here")
        return name

    # Updates

    def update(self) -> list[tuple[str, Change]]:
        changes: list[tuple[str, Change]] = []
        clauses = {
            "SET": self.setting,
            "REMOVE": self.removal,
            "ADD": self.addition,
            "DELETE": self.deletion,
        }
        while self.next():
            changes += self.listed(clauses[self.take(*clauses)])
        return changes

    def setting(self) -> tuple[str, Change]:
        name = self.name()
        self.take("=")
        value = self.summand()
        if self.next() in ("+", "-"):
            value = _sum(value, self.take() == "-", self.summand())

        def change(before: Raw, after: Raw, given: Values) -> None:
            if (found := value(before, given)) is None:
                raise Invalid("The provided expression refers to an attribute that does not exist")
            after[given[name]] = found

        return name, change

    def summand(self) -> Reader:
        if self.next() == "if_not_exists":
            self.take()
            held, otherwise = self.arguments(self.operand)
            return lambda item, given: held(item, given) or otherwise(item, given)
        if self.next() == "list_append":
            self.take()
            one, other = self.arguments(self.summand)
            return lambda item, given: _joined(one(item, given), other(item, given))
        return self.operand()

    def removal(self) -> tuple[str, Change]:
        name = self.name()
        return name, lambda _, after, given: _forget(after, given[name])

    def addition(self) -> tuple[str, Change]:
        name, value = self.name(), self.operand()

        def change(before: Raw, after: Raw, given: Values) -> None:
            ((kind, more),) = (value(before, given) or {}).items()
            held = after.get(given[name], {kind: "0" if kind == "N" else []})
            if kind not in ("N", *SETS) or kind not in held:
                raise Invalid("An operand in the update expression has an incorrect data type")
            if kind == "N":
                after[given[name]] = {
                    "N": canonical(str(PRECISE.add(number(held["N"]), number(more))))
                }
            else:
                after[given[name]] = {kind: list(dict.fromkeys([*held[kind], *more]))}

        return name, change

    def deletion(self) -> tuple[str, Change]:
        name, value = self.name(), self.operand()

        def change(before: Raw, after: Raw, given: Values) -> None:
            ((kind, less),) = (value(before, given) or {}).items()
            if kind not in SETS or kind not in (held := after.get(given[name], {kind: []})):
                raise Invalid("An operand in the update expression has an incorrect data type")
            if left := [each for each in held[kind] if each not in less]:
                after[given[name]] = {kind: left}
            else:
                _forget(after, given[name])

        return name, change


def _ordered(operator: str, left: Reader, right: Reader) -> Condition:
    holds = COMPARISONS[operator]

    def condition(item: Raw, given: Values) -> bool:
        one, other = scalar(left(item, given)), scalar(right(item, given))
        return one is not None and other is not None and one[0] == other[0] and holds(one, other)

    return condition


def _exists(path: Reader) -> Condition:
    return lambda item, given: path(item, given) is not None


def _lacks(path: Reader) -> Condition:
    return lambda item, given: path(item, given) is None


def _is_of_type(path: Reader, kind: Reader) -> Condition:
    return lambda item, given: (kind(item, given) or {})["S"] in (path(item, given) or {})


def _begins(path: Reader, head: Reader) -> Condition:
    def condition(item: Raw, given: Values) -> bool:
        one, other = scalar(path(item, given)), scalar(head(item, given))
        if one is None or other is None or one[0] != other[0] or one[0] == "N":
            return False
        return bool(one[1].startswith(other[1]))

    return condition


def _contains(path: Reader, part: Reader) -> Condition:
    def condition(item: Raw, given: Values) -> bool:
        whole, wanted = path(item, given), part(item, given)
        if whole is None or wanted is None:
            return False
        ((kind, held),), ((kind_of_part, sought),) = whole.items(), wanted.items()
        if kind == "L":
            return any(same(each, wanted) for each in held)
        return kind in (kind_of_part, f"{kind_of_part}S") and kind != "N" and sought in held

    return condition


def _sum(one: Reader, minus: bool, other: Reader) -> Reader:
    def value(item: Raw, given: Values) -> Value | None:
        left, right = one(item, given), other(item, given)
        if left is None or right is None:
            return None
        join = PRECISE.subtract if minus else PRECISE.add
        return {"N": canonical(str(join(number(left["N"]), number(right["N"]))))}

    return value


def _joined(one: Value | None, other: Value | None) -> Value | None:
    return {"L": [*one["L"], *other["L"]]} if one and other else None


def _forget(item: Raw, name: str) -> None:
    item.pop(name, None)


FUNCTIONS: dict[str, Callable[..., Condition]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _lacks,
    "attribute_type": _is_of_type,
    "begins_with": _begins,
    "contains": _contains,
}


@cache
def condition(text: str) -> Condition:
    """The meaning of a ConditionExpression, KeyConditionExpression or FilterExpression."""
    parser = _Parser(text)
    found = parser.condition()
    if parser.next():
        raise Invalid(f"Syntax error at {parser.next()!r} in {text}")
    return found


@cache
def _changes(text: str) -> list[tuple[str, Change]]:
    return _Parser(text).update()


def updated(text: str, item: Raw, given: Values, *, keys: tuple[str, ...]) -> Raw:
    """An item after an UpdateExpression, all of whose operands are read before any is written."""
    after = dict(item)
    names = [given[name] for name, _ in _changes(text)]
    if len(names) != len(set(names)):
        raise Invalid("Two document paths overlap with each other")
    if set(names) & set(keys):
        raise Invalid("Cannot update attribute. This attribute is part of the key")
    for _, change in _changes(text):
        change(item, after, given)
    return after


@cache
def placeholders(text: str) -> frozenset[str]:
    """The `#names` and `:values` of an expression, all of which the request must define."""
    return frozenset(token for token in TOKEN.findall(text) if token[0] in "#:")

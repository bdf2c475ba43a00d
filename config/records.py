"""Dataclasses that are compiled when the first object of theirs is made.

Python's `dataclass` writes the source of a class's methods and compiles it: a millisecond for each
class. A start loads a hundred of them, of which a request uses ten.
"""

import dataclasses
from threading import RLock
from typing import TYPE_CHECKING, Any

_compiling = RLock()

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, **options):
        """As Python's own, with the same options and the same result.

        A class with slots, an `__init__` of its own or a base is compiled at once.
        """
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        bases = [base for base in cls.__mro__[1:] if dataclasses.is_dataclass(base)]
        if bases or "__init__" in vars(cls) or options.get("slots"):
            for base in bases:
                _complete(base)
            return dataclasses.dataclass(**options)(cls)
        # A class without one gets its signature as docstring, which takes longest of all.
        cls.__doc__ = cls.__doc__ or cls.__name__
        # This collects the fields, so that `fields` knows them from the beginning.
        by_name = options.get("kw_only", False)
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=by_name)(cls)

        def __init__(self, *values, **named):  # noqa: N807
            _complete(cls)
            cls.__init__(self, *values, **named)

        cls.__init__, cls.__incomplete__ = __init__, options
        return cls


def _complete(cls: Any) -> None:
    """Makes a class what `dataclass` makes of it, unless it is that already.

    Other threads may be making their first object too: until the end they meet the `__init__` that
    leads here.
    """
    with _compiling:
        options = vars(cls).get("__incomplete__")
        if options is None:
            return
        written = {field.name: field for field in dataclasses.fields(cls)}  # with their defaults
        twin: Any = type(cls)(cls.__name__, cls.__bases__, {**vars(cls), **written})
        del twin.__init__
        for name, field in written.items():
            setattr(cls, name, field)
        dataclasses.dataclass(init=False, **options)(cls)
        cls.__init__ = vars(dataclasses.dataclass(**options)(twin))["__init__"]
        del cls.__incomplete__

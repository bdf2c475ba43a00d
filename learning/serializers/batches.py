"""Wire shapes of many things sent at once, each with its own result."""

from typing import Any

from rest_framework import serializers

from config.http import as_problem
from config.serializers import Serializer


class OneByOne(serializers.ListField):
    """Items of which each is valid or becomes the problem that says why not."""

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        return [self._validated(item) for item in data]

    def _validated(self, item: Any) -> Any:
        try:
            return self.child.run_validation(item)
        except serializers.ValidationError as error:
            return as_problem(error)


class ItemErrorShape(Serializer):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ItemProblemShape(Serializer):
    """Why one item was rejected, as the problem document of a request with it alone."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = ItemErrorShape(many=True, required=False)  # type: ignore[assignment]


def sent_id(item: Any) -> str | None:
    """The id of an item as it was sent, for its result."""
    found = item.get("id") if isinstance(item, dict) else None
    return found if isinstance(found, str) else None

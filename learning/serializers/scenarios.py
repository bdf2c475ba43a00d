"""Wire shapes of scenarios. A script's further rules are those of `learning.practice.script`."""

from typing import Any

from rest_framework import serializers

from config.pagination import ListQuery
from config.serializers import Boolean, Instant, Integer, Pattern, Serializer, Text
from learning.models.scenarios import PUBLISHED, STATUSES
from learning.practice.script import LEVELS
from learning.services.scenarios import Detail

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
MAX_REORDERED = 98  # in one transaction, with the two lines that record it


class Slug(Pattern):
    """A readable id, e.g. `coffee-to-take-away`."""

    def __init__(self, **kwargs: Any) -> None:
        message = "Give words of a–z and 0–9 joined by hyphens."
        super().__init__(SLUG, message, max_length=60, **kwargs)


class ScriptLanguage(Pattern):
    """The language that is practised, e.g. `es`."""

    def __init__(self, **kwargs: Any) -> None:
        message = "Give a language of two or three letters, e.g. es."
        super().__init__(r"[a-z]{2,3}", message, max_length=3, **kwargs)


def _patterns(**kwargs: Any) -> Any:
    return serializers.ListField(child=Text(max_length=200), max_length=40, **kwargs)


def _several(shape: type[Serializer], least: int, most: int, **kwargs: Any) -> Any:
    return serializers.ListField(child=shape(), min_length=least, max_length=most, **kwargs)


def _texts(least: int, most: int) -> Any:
    return serializers.ListField(child=Text(max_length=400), min_length=least, max_length=most)


class RoleShape(Serializer):
    id = Slug()
    name = Text(max_length=60)
    brief = Text(max_length=400)


class GoalShape(Serializer):
    """Reached by an answer that has any of `phrases` and none of `unless`."""

    id = Slug()
    text = Text(max_length=200)
    phrases = _patterns()
    unless = _patterns(required=False)


class BranchShape(Serializer):
    """One thing that a learner may mean, recognised by its phrases or by those of its goal;
    `also` leads here without reaching the goal."""

    example = Text(max_length=400)
    goal = Slug(required=False)
    phrases = _patterns(required=False)
    also = _patterns(required=False)
    unless = _patterns(required=False)
    say = Text(max_length=400, required=False)
    to = Slug()


class FallbackShape(Serializer):
    """What is said when nothing was recognised: `lines` in turn, then `then` and on to `to`."""

    lines = _texts(1, 4)
    then = Text(max_length=400, required=False)
    to = Slug()


class NodeShape(Serializer):
    """A line of the partner's. Without branches the dialogue ends here."""

    id = Slug()
    line = Text(max_length=600)
    branches = _several(BranchShape, 1, 12, required=False)
    fallback = FallbackShape(required=False)
    hints = serializers.ListField(
        child=Text(max_length=400), min_length=1, max_length=5, required=False
    )
    skip = Slug(required=False, help_text="A goal that makes this line superfluous once reached")


class PartShape(Serializer):
    """The dialogue of a learner who takes `role`."""

    role = Slug()
    start = Slug()
    farewell = Text(max_length=400)
    goals = _several(GoalShape, 1, 8)
    nodes = _several(NodeShape, 1, 60)


class PhraseShape(Serializer):
    text = Text(max_length=200)
    meaning = Text(max_length=400)
    phrases = _patterns(required=False)
    unless = _patterns(required=False)


class MistakeShape(Serializer):
    """A typical mistake; `{1}` in `right` is what the first variable of the pattern stood for."""

    phrases = _patterns()
    unless = _patterns(required=False)
    right = Text(max_length=200)
    why = Text(max_length=400)


class ScriptShape(Serializer):
    """A scenario as its authors write it: texts, roles, and the dialogue of one role or both."""

    order = Integer(min_value=0, max_value=999_999, required=False)
    title = Text(max_length=80)
    context = Slug(help_text="Where it takes place, e.g. food, travel, work")  # type: ignore[assignment]
    description = Text(max_length=600)
    level = serializers.ChoiceField(LEVELS)
    language = ScriptLanguage()
    roles = _several(RoleShape, 2, 2)
    parts = _several(PartShape, 1, 2)
    phrases = _several(PhraseShape, 0, 40)
    mistakes = _several(MistakeShape, 0, 40)
    notes = Text(max_length=2000)


class NewScenarioShape(ScriptShape):
    id = Slug(required=False, help_text="Made by the client, so that sending again is safe")


class CopyShape(Serializer):
    id = Slug(required=False, help_text="Made by the client, so that sending again is safe")
    title = Text(max_length=80, required=False)


class ReorderShape(Serializer):
    """The scenarios in their new order, on the places that they have among all others."""

    ids = serializers.ListField(child=Slug(), min_length=1, max_length=MAX_REORDERED)


class ScenarioQuery(ListQuery):
    level = serializers.ChoiceField(LEVELS, required=False)
    context = Slug(required=False)  # type: ignore[assignment]
    language = ScriptLanguage(required=False)
    search = Text(
        max_length=80, required=False, help_text="In title and description, whatever the case"
    )
    status = serializers.ChoiceField(
        STATUSES, default=PUBLISHED, help_text="Other ones are for staff"
    )


class SummaryShape(Serializer):
    """A scenario in the catalogue."""

    id = Slug()
    status = serializers.ChoiceField(STATUSES)
    title = Text(max_length=80)
    context = Slug()  # type: ignore[assignment]
    description = Text(max_length=600)
    level = serializers.ChoiceField(LEVELS)
    language = ScriptLanguage()
    order = Integer()
    revision = Integer(help_text="0 before the first publication")
    published_at = Instant(allow_null=True)
    updated_at = Instant()
    version = Integer(help_text="For If-Match")


class ReorderedShape(Serializer):
    results = SummaryShape(many=True)


class GoalToReachShape(Serializer):
    id = Slug()
    text = Text(max_length=200)


class PartToPlayShape(RoleShape):
    """A role, and what its learner has to reach; without goals it is only the partner's."""

    goals = GoalToReachShape(many=True)


class UsefulPhraseShape(Serializer):
    text = Text(max_length=200)
    meaning = Text(max_length=400)


class ScenarioShape(SummaryShape):
    roles = PartToPlayShape(many=True)
    phrases = UsefulPhraseShape(many=True)
    notes = Text(max_length=2000, help_text="For teachers")
    sessions = Integer(help_text="How many began with it")
    has_unpublished_changes = Boolean(required=False, help_text="For staff")
    script = ScriptShape(required=False, help_text="The draft, for staff")


def scenario_body(found: Detail) -> dict[str, Any]:
    """A scenario on the wire: ScenarioShape."""
    scenario, script = found.scenario, found.script
    goals = {part.role: part.goals for part in script.parts}
    body = {
        **SummaryShape(scenario).data,
        "roles": [
            {
                **RoleShape(role).data,
                "goals": GoalToReachShape(goals.get(role.id, ()), many=True).data,
            }
            for role in script.roles
        ],
        "phrases": UsefulPhraseShape(script.phrases, many=True).data,
        "notes": script.notes,
        "sessions": found.sessions,
    }
    if found.draft is not None:
        body["hasUnpublishedChanges"] = scenario.has_unpublished_changes
        body["script"] = {"order": int(scenario.order), **found.draft}
    return body

"""Wire shapes that several journeys share."""

from rest_framework import serializers

from accounts.api.serializers import Code, Email, Password
from config.serializers import Serializer


class OnlyEmail(Serializer):
    email = Email()


class OnlyCode(Serializer):
    code = Code()


class OnlyPassword(Serializer):
    """Without it only for learners who have none: a sign-in of the last five minutes will do."""

    password = Password(required=False)


class Message(Serializer):
    message = serializers.CharField()

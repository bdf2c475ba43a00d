"""Wire shapes of a sign-up."""

from rest_framework import serializers

from accounts.api.serializers import Code, Email, Name, NewPassword
from config.serializers import Serializer


class SignUp(Serializer):
    email = Email()
    password = NewPassword()
    first_name = Name()
    last_name = Name()


class Registered(Serializer):
    user_id = serializers.CharField()
    email = serializers.CharField()
    message = serializers.CharField()


class VerifyEmail(Serializer):
    email = Email()
    code = Code()

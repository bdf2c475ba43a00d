"""Wire shapes of a new password or address."""

from accounts.api.serializers import Code, Email, NewPassword, Password
from accounts.serializers.shared import OnlyPassword
from config.serializers import Serializer


class ResetConfirm(Serializer):
    email = Email()
    code = Code()
    new_password = NewPassword()


class PasswordChange(Serializer):
    current_password = Password()
    new_password = NewPassword()


class NewEmail(OnlyPassword):
    new_email = Email()

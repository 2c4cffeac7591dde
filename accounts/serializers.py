"""What the accounts API takes and gives."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.models import NAME_TAKEN, User
from accounts.usernames import normalise

# Hashing takes all of a password, so its length is bounded.
MAX_PASSWORD_CHARS = 1024
MAX_TOKEN_CHARS = 4096


class PasswordField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_PASSWORD_CHARS, trim_whitespace=False, write_only=True, **kwargs)


class UserSerializer(serializers.ModelSerializer[User]):
    isStaff = serializers.BooleanField(source="is_staff", read_only=True)

    class Meta:
        model = User
        fields = ["id", "username", "email", "isStaff", "language"]
        read_only_fields = ["id", "username"]

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        for name, value in validated_data.items():
            setattr(instance, name, value)
        # Only these: the password may have been changed since this user was read.
        instance.save(update_fields=list(validated_data))
        return instance


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedInSerializer(TokenPairSerializer):
    user = UserSerializer()


class RegisterSerializer(serializers.Serializer[User]):
    username = serializers.CharField()
    password = PasswordField()
    email = serializers.EmailField(required=False, allow_blank=True, max_length=254)

    def validate_username(self, value: str) -> str:
        username = normalise(value)
        try:
            User(username=username).clean_fields(exclude=_fields_but("username"))
        except DjangoValidationError as exc:
            raise serializers.ValidationError(exc.messages) from exc
        if User(username=username).name_is_taken():
            raise serializers.ValidationError(NAME_TAKEN, code="unique")
        return username

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        someone = User(username=attrs["username"], email=attrs.get("email", ""))
        check_password_strength(attrs["password"], someone, field="password")
        return attrs

    def create(self, validated_data: dict[str, Any]) -> User:
        email = User.objects.normalize_email(validated_data.get("email"))
        user = User(username=validated_data["username"], email=email)
        # Slow on purpose, so it comes before the transaction.
        user.set_password(validated_data["password"])
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as exc:
            raise serializers.ValidationError({"username": [NAME_TAKEN]}) from exc
        return user


class LoginSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=1000)
    password = PasswordField()


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=MAX_TOKEN_CHARS)


class PasswordSerializer(serializers.Serializer[Any]):
    """The password one has, and the one to have from now on."""

    current = PasswordField()
    new = PasswordField()

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        if not instance.check_password(validated_data["current"]):
            raise serializers.ValidationError({"current": [_("This is not your password.")]})
        check_password_strength(validated_data["new"], instance, field="new")
        instance.set_password(validated_data["new"])
        instance.keep(validated_data["sign_in"])
        instance.save(update_fields=["password", "kept_sign_in"])
        return instance


def check_password_strength(password: str, user: User, *, field: str) -> None:
    try:
        validate_password(password, user)
    except DjangoValidationError as exc:
        raise serializers.ValidationError({field: exc.messages}) from exc


def _fields_but(name: str) -> set[str]:
    return {field.name for field in User._meta.fields if field.name != name}

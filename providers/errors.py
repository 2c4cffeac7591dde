"""What can go wrong with a provider.

    ProviderError                  provider_error
    ├── ProviderUnavailable        provider_unavailable      could not connect
    │   ├── ProviderFailed         provider_failed           the other 5xx: its own fault
    │   ├── ProviderTimeout        provider_timeout
    │   └── ProviderOverloaded     provider_overloaded       503, 529
    ├── ProviderRejected           provider_rejected         the other 4xx
    │   ├── InvalidCredentials     invalid_credentials       401, 403
    │   ├── QuotaExceeded          provider_quota_exceeded   402
    │   ├── RateLimited            provider_rate_limited     429
    │   ├── AccessDenied           provider_access_denied    403, and not for the key
    │   ├── RegionNotSupported     region_not_supported
    │   ├── ModelNotFound          model_not_found           404
    │   ├── WrongAddress           wrong_address             a web page, a redirect, no such path
    │   ├── WrongVersion           wrong_api_version         too old for this model
    │   ├── ContextTooLong         context_too_long
    │   └── ContentBlocked         content_blocked
    ├── AddressRefused             address_not_allowed       the guarded transport said no
    │   └── AddressMalformed       address_malformed         nothing that could be asked
    ├── AnswerTooLarge             answer_too_large
    └── BrokenStream               broken_stream             unreadable, or ended early
        └── EmptyAnswer            empty_answer              ended at once, without an end mark

The class says what happened, and its text is for the person who asked. The
provider's own words go along as `words`: redacted, short, plain text, for the
same person. `detail` is for the log alone: it never holds a key, but it may
describe this server's network, and is never sent to a client.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ProviderError(Exception):
    """A provider did not give a whole answer.

    `status` is the provider's HTTP status where there was one, `retry_after`
    the seconds it asked us to wait. `unsent` says that the request never left,
    so that asking again cannot be billed twice, `parameter` names what the
    model will not take. `http_status` is what our own API answers where the
    fault is found before a stream begins.
    """

    code: str = "provider_error"
    text: str | Promise = _("The provider reported an error. Try again, or choose another model.")
    retryable: bool = False
    http_status: int = 502

    def __init__(
        self,
        detail: str = "",
        *,
        words: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        unsent: bool = False,
        parameter: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.words = words
        self.status = status
        self.retry_after = retry_after
        self.unsent = unsent
        self.parameter = parameter
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{self.code}{status}: {self.detail}" if self.detail else f"{self.code}{status}"


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"
    text = _("The provider cannot be reached. Check its address, or try again in a moment.")
    retryable = True


class ProviderFailed(ProviderUnavailable):
    code = "provider_failed"
    text = _("The provider has a fault of its own. Try again in a moment, or choose another model.")


class ProviderTimeout(ProviderUnavailable):
    code = "provider_timeout"
    text = _("The provider did not answer in time. Try again in a moment.")
    http_status = 504


class ProviderOverloaded(ProviderUnavailable):
    code = "provider_overloaded"
    text = _("The provider is overloaded. Try again in a moment.")
    http_status = 503


class ProviderRejected(ProviderError):
    code = "provider_rejected"
    text = _("The provider refused the request. Check the model and the settings of this provider.")


class InvalidCredentials(ProviderRejected):
    code = "invalid_credentials"
    text = _("The provider refused the API key. Check the key in the settings.")


class QuotaExceeded(ProviderRejected):
    code = "provider_quota_exceeded"
    text = _("The account at the provider has no credit left. Top it up, or use another key.")


class RateLimited(ProviderRejected):
    code = "provider_rate_limited"
    text = _("The provider limits how often you may ask. Wait a little, then try again.")
    retryable = True
    http_status = 503


class AccessDenied(ProviderRejected):
    code = "provider_access_denied"
    text = _(
        "The provider, or a firewall in front of it, refuses requests from this server. "
        "The key may be right: ask the provider's operator."
    )


class RegionNotSupported(ProviderRejected):
    code = "region_not_supported"
    text = _("The provider does not serve the country or region of this server. Choose another provider.")


class ModelNotFound(ProviderRejected):
    code = "model_not_found"
    text = _("The provider does not have this model, or the key may not use it. Choose another one.")


class WrongAddress(ProviderRejected):
    code = "wrong_address"
    text = _("Something answers at this address, but not this kind of provider. Check the base URL.")


class WrongVersion(ProviderRejected):
    code = "wrong_api_version"
    text = _(
        "The provider wants another API version for this model. "
        "Write it behind the base URL, as in ?api-version=2025-04-01-preview."
    )


class ContextTooLong(ProviderRejected):
    code = "context_too_long"
    text = _("The conversation is too long for this model. Start a new one, or choose another model.")


class ContentBlocked(ProviderRejected):
    code = "content_blocked"
    text = _("The provider's content filter refused this conversation. Word it differently.")


class AddressRefused(ProviderError):
    code = "address_not_allowed"
    text = _("This address is not allowed. Only public http and https addresses can be used.")
    http_status = 400


class AddressMalformed(AddressRefused):
    code = "address_malformed"
    text = _("This is no base URL: it takes http:// or https://, a host, and no password and no query.")


class AnswerTooLarge(ProviderError):
    code = "answer_too_large"
    text = _("The answer was longer than this server accepts, and was cut off.")


class BrokenStream(ProviderError):
    code = "broken_stream"
    text = _("The answer broke off before its end. Try again.")
    retryable = True


class EmptyAnswer(BrokenStream):
    code = "empty_answer"
    text = _("The provider sent an empty answer. Try again, or choose another model.")


def unreadable(what: str) -> BrokenStream:
    return BrokenStream(what, retryable=False)

"""The exceptions of the product.

PhoneAgentError               everything below; carries code, message, field, provider, retryable
├── SettingsError             the environment is incomplete or wrong: the server does not start
├── ScenarioError             a file in pipelines/ is wrong: the server does not start
├── RequestError              the API's caller can mend it (422)
│   └── UnknownScenarioError
├── UnauthorizedError         no key, or not ours (401)
├── ForbiddenError            a signature or token that does not hold (403)
├── NotFoundError             no such call (404)
├── ConflictError             the call's state forbids it (409)
├── AddressError              a URL leads to an address this server must not reach
├── BusyError                 no free line now (429); retry_after_seconds says when to ask again
└── VendorError               a vendor refused or could not be reached (502)
    └── CarrierError          Twilio's own code and message, as they came
        └── DialUnconfirmedError  no answer to a dial: the call may exist
"""

from __future__ import annotations


class PhoneAgentError(Exception):
    """Base of all. `code` is snake_case and stable; `message` says what to do."""

    code = "internal_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        provider: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.field = field
        self.provider = provider
        self.retryable = type(self).retryable if retryable is None else retryable


class SettingsError(PhoneAgentError):
    code = "bad_settings"


class ScenarioError(PhoneAgentError):
    code = "bad_scenario"


class RequestError(PhoneAgentError):
    code = "bad_request"


class UnknownScenarioError(RequestError):
    code = "unknown_scenario"


class UnauthorizedError(PhoneAgentError):
    code = "unauthorized"


class ForbiddenError(PhoneAgentError):
    code = "forbidden"


class NotFoundError(PhoneAgentError):
    code = "not_found"


class ConflictError(PhoneAgentError):
    code = "conflict"


class AddressError(PhoneAgentError):
    code = "address_refused"


class BusyError(PhoneAgentError):
    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class VendorError(PhoneAgentError):
    code = "vendor_error"


class CarrierError(VendorError):
    """`status` is the HTTP status (0: no answer), `carrier_code` Twilio's error number, if any."""

    code = "carrier_error"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int = 0,
        carrier_code: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, provider=provider, retryable=retryable)
        self.status = status
        self.carrier_code = carrier_code


class DialUnconfirmedError(CarrierError):
    """A dial without an answer: the call may exist, so dialling again could ring twice."""

    code = "dial_unconfirmed"

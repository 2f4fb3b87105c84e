"""The errors of ``huggingface_hub`` and its HTTP client, turned into ours."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    XetDownloadError,
)

from pictag.errors import (
    CorruptModel,
    ModelAccessDenied,
    ModelError,
    ModelFileMissing,
    ModelNotFound,
    ModelUnavailable,
    OptionError,
    shorten,
)
from pictag.models.hub_guard import RefusedAnswer

# What huggingface_hub and its HTTP client let through, besides their own errors: ValueError, KeyError,
# TypeError and RuntimeError where a reply is not what it should be, OSError where the cache cannot be
# written.
FOREIGN = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    XetDownloadError,
    RefusedAnswer,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


def endpoint() -> str:
    """The Hub in use, as it may be shown: without a name and password in it."""
    parts = urlsplit(constants.ENDPOINT)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def raise_ours(error: Exception, *, name: str, revision: str, file: str | None) -> NoReturn:
    """Raise the error of ours that says what happened; a token is in none of them."""
    if isinstance(error, ModelError | OptionError):
        raise error
    if isinstance(error, httpx2.LocalProtocolError | UnicodeError):
        # A header that cannot be sent: its text holds the token, so nothing of the error goes on.
        raise ModelAccessDenied(
            f"The token for {endpoint()} has characters that no token has. Set HF_TOKEN anew, "
            "or say token=False."
        ) from None
    name, revision = shorten(name), shorten(revision, 80)
    cause = error.__cause__
    if isinstance(error, LocalEntryNotFoundError) and isinstance(cause, Exception):
        error = cause
    if isinstance(error, HfHubHTTPError):
        raise _translate_status(error, name, revision, file) from error
    raise _translate(error, name, f"{shorten(file, 80)} of {name}" if file else name) from error


def _translate(error: Exception, name: str, what: str) -> ModelError:
    match error:
        case RefusedAnswer():
            return CorruptModel(f"The answer of {endpoint()} for {what} is refused: {error}.")
        case httpx2.TooManyRedirects():
            return CorruptModel(
                f"The answer of {endpoint()} for {what} is refused: its redirects do not end."
            )
        case OSError() if error.errno is None and "onsistency check" in str(error):
            return CorruptModel(
                f"{what} came shorter or longer than {endpoint()} stated. Nothing was kept; try again."
            )
        case HFValidationError():
            return ModelNotFound(f"There is no model {name!r}: that is no name on the Hub.")
        case LocalTokenNotFoundError():
            return ModelAccessDenied(
                "token=True was given, but no token is stored. Set HF_TOKEN, or log in with 'hf auth login'."
            )
    return ModelUnavailable(
        f"{what} cannot be had now: {_reason(error)}. model='embedded' works without a network."
    )


def _reason(error: Exception) -> str:
    match error:
        case OfflineModeIsEnabled() | LocalEntryNotFoundError():
            return "it is not in the cache, and requests are switched off"
        case httpx2.TimeoutException():
            return f"{endpoint()} did not answer in time"
        case httpx2.HTTPError() | httpx2.InvalidURL() | httpx2.StreamError():
            return f"the connection to {endpoint()} failed ({type(error).__name__})"
        case OSError() if error.errno is not None:
            return f"it could not be stored in the cache ({error.strerror})"
        case RuntimeError() | XetDownloadError():
            return f"fetching it failed ({type(error).__name__})"
    return f"{endpoint()} does not answer as a Hub does; check HF_ENDPOINT"


def _translate_status(error: HfHubHTTPError, name: str, revision: str, file: str | None) -> ModelError:
    status, code = error.response.status_code, error.response.headers.get("X-Error-Code")
    has_token = "authorization" in error.response.request.headers
    page = f"{endpoint()}/{name}"
    if isinstance(error, GatedRepoError) or code == "GatedRepo":
        advice = f"accept its terms at {page}, and give the token of that account with HF_TOKEN or token="
        return ModelAccessDenied(f"{name} is gated: {advice}.")
    if code == "EntryNotFound":
        return ModelFileMissing(f"{name} has no file {shorten(file, 80)!r} at revision {revision}.")
    if code == "RevisionNotFound":
        return ModelNotFound(f"{name} has no revision {revision!r}. See what it has at {page}/tree/main.")
    if code == "RepoNotFound" or status == 404 or (status == 401 and not has_token):
        hint = "a private one needs " + ("a token that may read it" if has_token else "HF_TOKEN or token=")
        return ModelNotFound(
            f"There is no model {name} on {endpoint()}, or it is private. Check the name; {hint}."
        )
    return _translate_refusal(error, name, status)


def _translate_refusal(error: HfHubHTTPError, name: str, status: int) -> ModelError:
    if isinstance(error, DisabledRepoError):
        return ModelAccessDenied(f"{name} has been disabled on {endpoint()}.")
    if status == 401:
        return ModelAccessDenied(
            f"{endpoint()} did not accept the token for {name}. Check HF_TOKEN or token=; "
            "token=False asks without one."
        )
    if status == 403:
        return ModelAccessDenied(
            f"The token may not read {name} on {endpoint()}. Give it that right, or another token."
        )
    wait = " Too many requests: wait a little." if status == 429 else ""
    return ModelUnavailable(
        f"{name} cannot be had now: {endpoint()} answers with status {status}.{wait} "
        "model='embedded' works without a network."
    )

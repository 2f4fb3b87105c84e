"""The errors of ``huggingface_hub`` and its HTTP client, translated to pictag's."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
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
    PictagError,
    shorten,
)
from pictag.models.reference import NO_NETWORK_NEEDED

# Besides its own errors, huggingface_hub raises ValueError, LookupError, TypeError, AttributeError and
# RuntimeError for replies that aren't the Hub's, and OSError if the cache can't be written to.
_FOREIGN = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    XetDownloadError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


def endpoint() -> str:
    """The address of the Hub in use, without a user name and password."""
    parts = urlsplit(constants.ENDPOINT)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


@contextlib.contextmanager
def translate_errors(
    name: str, revision: str, file: str | None = None, caller_errors: Sequence[Exception] = ()
) -> Iterator[None]:
    """Raise pictag's errors instead of ``huggingface_hub``'s; no message contains a token.

    ``caller_errors``, raised by the caller's own progress function, pass unchanged.
    """
    try:
        yield
    except PictagError:
        raise
    except (httpx2.LocalProtocolError, UnicodeEncodeError):
        # A header that can't be sent. The original error contains the token, so it isn't chained.
        raise OptionError(
            "The token contains characters that can't be sent (it isn't shown here). Check token= and "
            "HF_TOKEN, or use token=False to connect without one."
        ) from None
    except _FOREIGN as error:
        if error in caller_errors:
            raise
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
        original = cause if isinstance(cause, Exception) else error
        shown = shorten(file, 80) if file else None
        raise _translate(original, shorten(name), shorten(revision, 80), shown) from original


def _translate(  # noqa: PLR0911 - one for each kind of error
    error: Exception, name: str, revision: str, file: str | None
) -> ModelError:
    page = f"{endpoint()}/{name}"
    what = f"{file} of {name}" if file else name
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match error:
        case GatedRepoError():
            return ModelAccessDenied(
                f"{name} is gated. Accept its terms at {page}, and give the token of that account with "
                "HF_TOKEN or token=."
            )
        case RemoteEntryNotFoundError():
            return ModelFileMissing(f"{name} has no file {file!r} at revision {revision}.")
        case RevisionNotFoundError():
            return ModelNotFound(f"{name} has no revision {revision!r}. See {page}/tree/main.")
        case DisabledRepoError():
            return ModelAccessDenied(f"{name} has been disabled on {endpoint()}.")
        case HfHubHTTPError() if status == 404 or isinstance(error, RepositoryNotFoundError):
            return ModelNotFound(
                f"{name} doesn't exist on {endpoint()}, or it is private. Check the name; a private "
                "model needs a token that can read it (HF_TOKEN or token=)."
            )
        case HfHubHTTPError() if status in (401, 403):
            return ModelAccessDenied(
                f"The token has no access to {name} on {endpoint()} (status {status}). Check HF_TOKEN or "
                "token=, or use token=False to connect without one."
            )
        case LocalTokenNotFoundError():
            return ModelAccessDenied(
                "token=True was given, but no token is stored. Set HF_TOKEN, or log in with 'hf auth login'."
            )
        case httpx2.TooManyRedirects():
            return CorruptModel(f"{endpoint()} redirects {what} endlessly.")
        case OSError() if error.errno is None and "onsistency check" in str(error):
            return CorruptModel(
                f"{what} was shorter or longer than {endpoint()} stated. Nothing was kept; try again."
            )
    return ModelUnavailable(f"{what} is unavailable: {_reason(error)}. {NO_NETWORK_NEEDED}")


def _reason(error: Exception) -> str:
    reason = f"{endpoint()} didn't reply as a Hub does; check HF_ENDPOINT"
    match error:
        case HfHubHTTPError():
            reason = f"{endpoint()} replied with status {error.response.status_code}"
            if error.response.status_code == 429:
                reason += " (too many requests; wait a moment)"
        case OfflineModeIsEnabled() | LocalEntryNotFoundError():
            reason = "it is not in the cache, and downloads are turned off"
        case httpx2.TimeoutException():
            reason = f"{endpoint()} did not reply in time"
        case httpx2.HTTPError() | httpx2.InvalidURL() | httpx2.StreamError():
            reason = f"the connection to {endpoint()} failed ({type(error).__name__})"
        case OSError() if error.errno is not None:
            where = "" if error.filename is None else f" {shorten(error.filename)}"
            reason = f"it could not be stored in the cache{where} ({error.strerror})"
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT):
                reason += ". Set HF_HOME to a folder that can be written to"
        case RuntimeError() | XetDownloadError():
            reason = f"the download failed ({type(error).__name__})"
    return reason

"""Azurite, Microsoft's own emulator of Blob storage: one process with an account for each region."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import signal
from email.utils import formatdate

from . import install, settings
from .fault import Fault
from .site import Site

NAME = "azurite"
API_VERSION = "2021-12-02"
# Empty lines of a string to sign, for headers that are absent.
ABSENT_HEADERS = 11


def start(site: Site) -> None:
    """Starts it where it was, with what it held."""
    data = site.folder / "azurite"
    data.mkdir(exist_ok=True)
    accounts = ";".join(f"{name}:{key}" for name, key in settings.ACCOUNTS.values())
    command = ["node", str(install.azurite()), "--blobHost", "127.0.0.1", "--blobPort", str(site.port(NAME))]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(data)]
    site.start(NAME, command, {"AZURITE_ACCOUNTS": accounts})
    site.wait_ready(NAME, lambda: _answers(site))


def stop(site: Site) -> None:
    # By force, it would lose what it wrote in the last five seconds.
    site.end(NAME, signal.SIGTERM)


def create_containers(site: Site) -> None:
    for account, key in settings.ACCOUNTS.values():
        status = _create(site, account, key)
        if status not in (201, 409):
            raise Fault(f"the container of {account} cannot be created: {status}")


def environment(site: Site, region: str, address: str | None = None) -> dict[str, str]:
    """What an edge of a region signs in with; `address` is of something in between."""
    account, key = settings.ACCOUNTS[region]
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": account,
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        "AZURE_STORAGE_ENDPOINT": f"http://{address or site.address(NAME)}/{account}",
    }


def publisher_environment(site: Site) -> dict[str, str]:
    """What a publisher signs in with: the home account, and those of the other regions under their names."""
    found = environment(site, settings.HOME)
    for region in settings.REGIONS:
        if region != settings.HOME:
            found |= {f"{region.upper()}_{name}": value for name, value in environment(site, region).items()}
    return found


def _answers(site: Site) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", site.port(NAME), timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _create(site: Site, account: str, key: str) -> int:
    """Signed as "Authorize with Shared Key" of the Azure Storage REST documentation says."""
    date = formatdate(usegmt=True)
    lines = ["PUT", *[""] * ABSENT_HEADERS, f"x-ms-date:{date}", f"x-ms-version:{API_VERSION}"]
    lines += [f"/{account}/{account}/{settings.CONTAINER}", "restype:container"]
    digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": API_VERSION,
        "Authorization": f"SharedKey {account}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", site.port(NAME), timeout=10)
    try:
        connection.request("PUT", f"/{account}/{settings.CONTAINER}?restype=container", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()

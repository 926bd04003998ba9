"""gspread, pointed at the emulator: the stock client with its two hosts replaced."""

from typing import Any

import gspread
from google.oauth2.service_account import Credentials

from tests.emulators.sheets.emulator import SERVICE_ACCOUNT, Emulator


class Quiet(Credentials):
    """Newer google-auth asks an address of Google's beside each login, from a thread of its own;
    with only loopback to talk to it would retry in vain."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


HOSTS = ("https://sheets.googleapis.com", "https://www.googleapis.com")


def client_for(emulator: Emulator, email: str = SERVICE_ACCOUNT) -> gspread.Client:
    """A client that logs in with a service account's key at the emulator's token endpoint."""

    class Rerouted(gspread.HTTPClient):
        def request(self, method: str, endpoint: str, *args: Any, **terms: Any) -> Any:
            for host in HOSTS:
                if endpoint.startswith(host):
                    endpoint = emulator.url + endpoint.removeprefix(host)
            return super().request(method, endpoint, *args, **terms)

    credentials = Quiet.from_service_account_info(
        emulator.service_account(email), scopes=gspread.auth.DEFAULT_SCOPES
    )
    made = gspread.Client(credentials, http_client=Rerouted)
    made.http_client.session.trust_env = False
    made.set_timeout(60)
    return made

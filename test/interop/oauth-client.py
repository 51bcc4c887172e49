"""Asks a relay for a token with requests-oauthlib, and its API with that. Reads one JSON object from standard input, writes one."""

import json
import sys

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

asked = json.load(sys.stdin)
how = {"verify": asked["ca"], "timeout": 20}
if "certificate" in asked:
    how["cert"] = (asked["certificate"], asked["key"])
described = requests.get(f"{asked['issuer']}/.well-known/oauth-authorization-server", **how).json()
session = OAuth2Session(client=BackendApplicationClient(client_id=asked["id"]))
try:
    token = session.fetch_token(described["token_endpoint"], client_secret=asked["secret"], **how)
    url = f"{asked['issuer']}/api/v1/tenants/default/audit"
    answer = {"status": session.get(url, **how).status_code, "life": token["expires_in"]}
    if "certificate" in asked:
        del how["cert"]
        answer["without"] = requests.get(url, headers={"Authorization": f"Bearer {token['access_token']}"}, **how).status_code
except Exception as error:
    answer = {"error": getattr(error, "error", type(error).__name__)}
print(json.dumps(answer))

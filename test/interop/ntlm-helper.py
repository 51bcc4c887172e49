"""An NTLM helper for squid (protocol of auth_param ntlm) that really checks NTLMv2, by pyspnego.

usage: python3 ntlm-helper.py USERS, a file with DOMAIN:USER:PASSWORD a line
"""
import base64
import os
import sys

os.environ["NTLM_USER_FILE"] = sys.argv[1]
import spnego  # noqa: E402: it reads the variable

context = None
for line in sys.stdin:
    command, _, data = line.strip().partition(" ")
    token = base64.b64decode(data) if data else None
    try:
        if command == "YR":
            context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            answer = "TT " + base64.b64encode(context.step(token)).decode()
        else:
            context.step(token)
            answer = "AF " + context.client_principal.replace(" ", "_")
    except Exception as error:
        answer = "NA " + type(error).__name__
    print(answer, flush=True)

"""A SAML 2 identity provider made of pysaml2, for test/interop/saml.interop.ts.

Takes the directory with key.pem, cert.pem and sp.xml (the relay's metadata) and the provider's entity ID. Reads one JSON
command a line, answers one JSON object a line. Checks what the relay sends as any provider would: a request that pysaml2
does not take makes the command fail.
"""
import base64
import json
import sys
from urllib.parse import parse_qs, urlparse

import saml2.entity
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NAMEID_FORMAT_TRANSIENT, NameID
from saml2.server import Server
from saml2.sigver import CryptoBackendXmlSec1, pre_encryption_part

directory, entity = sys.argv[1:3]

# pysaml2 signs by SHA-1 where nothing is said.
SHA256 = {
    "sign_alg": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "digest_alg": "http://www.w3.org/2001/04/xmlenc#sha256",
}


def server(minutes=5):
    config = IdPConfig()
    config.load(
        {
            "entityid": entity,
            "xmlsec_binary": "/usr/bin/xmlsec1",
            "key_file": f"{directory}/key.pem",
            "cert_file": f"{directory}/cert.pem",
            "metadata": {"local": [f"{directory}/sp.xml"]},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(f"{entity}/sso", BINDING_HTTP_REDIRECT)],
                        "single_logout_service": [(f"{entity}/slo", BINDING_HTTP_REDIRECT)],
                    },
                    "want_authn_requests_signed": True,
                    "policy": {
                        "default": {
                            "lifetime": {"minutes": minutes},
                            "attribute_restrictions": None,
                            "name_form": "urn:oasis:names:tc:SAML:2.0:attrname-format:uri",
                        }
                    },
                    "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                }
            },
        }
    )
    return Server(config=config)


idp = server()

# Nothing of pysaml2's settings says how it encrypts; it takes 3DES where nothing is said.
ENCRYPT = {
    "aes256-gcm": ("http://www.w3.org/2009/xmlenc11#aes256-gcm", "aes-256"),
    "aes256-cbc": ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "aes-256"),
}


def encrypt_by(name):
    algorithm, key_type = ENCRYPT[name]
    saml2.entity.pre_encryption_part = lambda **options: pre_encryption_part(msg_enc=algorithm, **options)
    encrypt = CryptoBackendXmlSec1.encrypt_assertion

    def with_key(self, statement, key, template, _type="", node_xpath=None, node_id=None):
        return encrypt(self, statement, key, template, key_type, node_xpath, node_id)

    return with_key


encrypt_with_3des = CryptoBackendXmlSec1.encrypt_assertion


def signed(query):
    return {name: query[name][0] for name in ("SigAlg", "Signature") if name in query}


def login(command):
    at = server(command.get("minutes", 5))
    query = parse_qs(urlparse(command["url"]).query)
    request = at.parse_authn_request(
        query["SAMLRequest"][0],
        BINDING_HTTP_REDIRECT,
        relay_state=query.get("RelayState", [None])[0],
        sigalg=query.get("SigAlg", [None])[0],
        signature=query.get("Signature", [None])[0],
    )
    args = at.response_args(request.message)
    args.pop("binding", None)
    args.pop("name_id_policy", None)
    args.update(command.get("changes", {}))
    shape = NAMEID_FORMAT_TRANSIENT if command.get("transient") else NAMEID_FORMAT_PERSISTENT
    encrypted = command.get("encrypted")
    if encrypted:
        CryptoBackendXmlSec1.encrypt_assertion = encrypt_by(encrypted)
    response = at.create_authn_response(
        command["attributes"],
        name_id=NameID(format=shape, text=command["subject"]),
        authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_instant": command["instant"]},
        sign_response=command.get("sign_response", False),
        sign_assertion=command.get("sign_assertion", True),
        **({"encrypt_assertion": True, "encrypt_assertion_self_contained": True} if encrypted else {}),
        **({} if command.get("sha1") else SHA256),
        **args,
    )
    CryptoBackendXmlSec1.encrypt_assertion = encrypt_with_3des
    xml = str(response)
    return {"forced": request.message.force_authn, "response": base64.b64encode(xml.encode()).decode()}


def ask_logout(command):
    sp = idp.metadata.service_providers()[0]
    _, request = idp.create_logout_request(
        f"{command['to']}",
        sp,
        name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=command["subject"]),
        session_indexes=command.get("sessions"),
        sign=command.get("sign", True),
        **SHA256,
    )
    return {"request": base64.b64encode(str(request).encode()).decode()}


def take_logout(command):
    query = parse_qs(urlparse(command["url"]).query)
    request = idp.parse_logout_request(
        query["SAMLRequest"][0],
        BINDING_HTTP_REDIRECT,
        **{key.lower(): value for key, value in signed(query).items()},
    )
    return {"subject": request.message.name_id.text, "sessions": [one.text for one in request.message.session_index]}


def read_answer(command):
    query = parse_qs(urlparse(command["url"]).query)
    answer = idp.parse_logout_request_response(query["SAMLResponse"][0], BINDING_HTTP_REDIRECT)
    return {"status": answer.response.status.status_code.value}


COMMANDS = {"login": login, "ask_logout": ask_logout, "take_logout": take_logout, "read_answer": read_answer}

for line in sys.stdin:
    given = json.loads(line)
    try:
        result = COMMANDS[given["op"]](given)
    except Exception as error:  # told to the test, which decides
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)

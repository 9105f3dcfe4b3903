#!/usr/bin/python3
"""Samba's opinion of security descriptors: a request of JSON on every line in, an answer on every line out.

The first line says which Samba it is, or that there is none. What comes after it is described where it is
asked for, in tests/tests/samba_judge/judge.rs.
"""

import json
import sys

MAXIMUM_ALLOWED = 0x02000000


def without_samba(why):
    print(json.dumps({"missing": why}))
    sys.exit(0)


try:
    from samba import NTSTATUSError, ntstatus, version
    from samba.dcerpc import security
    from samba.ndr import ndr_pack, ndr_unpack
    from samba.security import access_check
except ImportError as error:
    without_samba(str(error))

DENIALS = (ntstatus.NT_STATUS_ACCESS_DENIED, ntstatus.NT_STATUS_PRIVILEGE_NOT_HELD)


def from_bytes(text):
    return ndr_unpack(security.descriptor, bytes.fromhex(text))


def token(sids, privileges):
    made = security.token()
    made.sids = [security.dom_sid(sid) for sid in sids]
    made.num_sids = len(sids)
    for privilege in privileges:
        made.privilege_mask |= getattr(security, f"SEC_PRIV_{privilege}_BIT")
    return made


def granted(descriptor, caller, mask):
    """The rights that are granted; None for a denial."""
    try:
        return access_check(descriptor, caller, mask)
    except NTSTATUSError as error:
        if error.args[0] in DENIALS:
            return None
        raise


def verdict(descriptor, caller, mask):
    rights = granted(descriptor, caller, mask)
    if rights is not None:
        return {"granted": rights}
    asked = mask & ~MAXIMUM_ALLOWED
    bits = [1 << bit for bit in range(32) if asked & 1 << bit]
    return {"denied": sum(bit for bit in bits if granted(descriptor, caller, bit) is None)}


def from_text(text, domain):
    """The bytes of what a text means; None for one that is refused."""
    try:
        return ndr_pack(security.descriptor.from_sddl(text, domain)).hex()
    except TypeError:
        return None


def described(text):
    descriptor = from_bytes(text)
    return {"bytes": ndr_pack(descriptor).hex(), "text": descriptor.as_sddl()}


def answer(request):
    caller = token(request["sids"], request["privileges"])
    domain = security.dom_sid(request["domain"])
    return {
        "verdicts": [verdict(from_bytes(sd), caller, mask) for sd, mask in request["checks"]],
        "readings": [from_text(text, domain) for text in request["texts"]],
        "described": [described(sd) for sd in request["descriptors"]],
    }


def reply(request):
    try:
        return {"answers": answer(request)}
    except Exception as error:
        return {"error": repr(error)}


print(json.dumps({"version": version}), flush=True)
for line in sys.stdin:
    print(json.dumps(reply(json.loads(line))), flush=True)

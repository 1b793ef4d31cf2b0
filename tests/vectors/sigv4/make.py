#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes cases.json: requests, and what each stage of signing them must give.

Written from the Signature Version 4 specification, apart from the C code that it checks; standard library only.
A case is as short as it can be; what it leaves out is in DEFAULTS.

    python3 tests/vectors/sigv4/make.py           writes cases.json
    python3 tests/vectors/sigv4/make.py --check   exits 1 when cases.json is not what it would write
"""
import hashlib
import hmac
import json
import pathlib
import sys
import urllib.parse

DEFAULTS = {
    "name": "",
    "method": "POST", "path": "/", "query": "", "headers": [["Host", "example.com"]], "body": "", "payload_hash": "",
    "region": "eu-west-1", "service": "codepipeline", "time": "20261122T063000Z", "expires": 900,
    "key": "AKIDEXAMPLE", "secret": "secret/EXAMPLE+KEY", "token": "",
    "s3": False, "normalize": True, "body_header": False, "token_later": False, "presign": False,
}

CODEPIPELINE = [["Host", "codepipeline.eu-west-1.amazonaws.com"], ["Content-Type", "application/x-amz-json-1.1"],
                ["X-Amz-Target", "CodePipeline_20150709.GetPipelineState"]]
S3 = [["Host", "artifacts.s3.eu-west-1.amazonaws.com"]]

CASES = [
    {"name": "an awsJson call", "headers": CODEPIPELINE, "body": '{"name":"site"}'},
    {"name": "an awsJson call with a session token", "headers": CODEPIPELINE, "body": '{"name":"site"}',
     "token": "Token//+=="},
    {"name": "a path that came encoded is encoded again", "path": "/a%20b/c%2Fd/"},
    {"name": "a path is normalised", "path": "/./a//b/../c/."},
    {"name": "a path that climbs above the root stays at the root", "path": "/../../a/.."},
    {"name": "a path is kept when normalising is off", "path": "/a//./b/../", "normalize": False},
    {"name": "S3 encodes a path once", "method": "GET", "service": "s3", "s3": True, "headers": S3,
     "path": "/a%20b//../%C3%A9+(1)~x%2fy", "payload_hash": hashlib.sha256(b"").hexdigest()},
    {"name": "S3 with an unsigned payload and a token", "method": "PUT", "service": "s3", "s3": True, "headers": S3,
     "path": "/key.zip", "payload_hash": "UNSIGNED-PAYLOAD", "token": "T0k/en="},
    {"name": "S3 with a body", "method": "PUT", "service": "s3", "s3": True, "headers": S3, "path": "/key",
     "body": "hello"},
    {"name": "S3 with parameters", "method": "GET", "service": "s3", "s3": True, "headers": S3, "path": "/",
     "query": "prefix=a%20b%2F&list-type=2&delimiter=/&uploads&x=%7e", "payload_hash": "UNSIGNED-PAYLOAD"},
    {"name": "S3 presigned with a token", "method": "GET", "service": "s3", "s3": True, "headers": S3,
     "path": "/a%20b/key.zip", "query": "response-content-type=application%2Fzip", "payload_hash": "UNSIGNED-PAYLOAD",
     "token": "T0k/en+==", "presign": True},
    {"name": "presigned with a token that is not signed", "method": "GET", "token": "T0k/en+==", "token_later": True,
     "presign": True, "expires": 604800},
    {"name": "a token that is not signed", "token": "T0k/en+==", "token_later": True},
    {"name": "the body's hash as a header", "body": "a=b", "body_header": True},
    {"name": "names sort by bytes and values by what is written", "method": "GET",
     "query": "b=2&a-b=1&a=%c3%a9&a=z&a=&B=1&a=%20&a=%2B&c"},
    {"name": "headers fold, join and sort", "headers": [
        ["X-B", "  two  words\t here  "], ["HOST", "example.com"], ["x-b", "again"], ["X-A_c", ""], ["X-Ab", "1"]]},
    {"name": "a key id with slashes and a long secret", "key": "AKID/WITH/SLASH", "secret": "s" * 200},
]


def encode(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def encode_once(text, keep_slash=False):
    """Decodes what came encoded and encodes all; in a path, an encoded slash is not a separator."""
    if not keep_slash:
        return encode(urllib.parse.unquote_to_bytes(text))
    return "/".join(encode(urllib.parse.unquote_to_bytes(part)) for part in text.split("/"))


def canonical_path(case):
    path = case["path"] or "/"
    if case["s3"]:
        return encode_once(path, keep_slash=True)
    if not case["normalize"]:
        return encode(path, "/")
    kept = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(part)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + encode("/".join(kept), "/") + end


def canonical_query(query, left_out):
    pairs = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in left_out:
            pairs.append((encode_once(name), encode_once(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_headers(headers):
    joined = {}
    for name, value in headers:
        joined.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(joined)
    return "".join(f"{n}:{','.join(joined[n])}\n" for n in names), ";".join(names)


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(case):
    c = {**DEFAULTS, **case}
    date = c["time"][:8]
    scope = f"{date}/{c['region']}/{c['service']}/aws4_request"
    payload = c["payload_hash"] or hashlib.sha256(c["body"].encode()).hexdigest()
    headers, query, left_out = list(c["headers"]), c["query"], set()
    if c["presign"]:
        signed = canonical_headers(headers)[1]
        query += "&" if query else ""
        query += (f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={encode(c['key'] + '/' + scope)}"
                  f"&X-Amz-Date={c['time']}&X-Amz-SignedHeaders={encode(signed)}&X-Amz-Expires={c['expires']}")
        if c["token"]:
            query += f"&X-Amz-Security-Token={encode(c['token'])}"
        if c["token_later"]:
            left_out.add("X-Amz-Security-Token")
    else:
        headers.append(["X-Amz-Date", c["time"]])
        if c["s3"] or c["body_header"]:
            headers.append(["X-Amz-Content-Sha256", payload])
        if c["token"] and not c["token_later"]:
            headers.append(["X-Amz-Security-Token", c["token"]])
    lines, signed = canonical_headers(headers)
    canonical = "\n".join([c["method"], canonical_path(c), canonical_query(query, left_out), lines, signed, payload])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", c["time"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + c["secret"]).encode()
    for step in (date, c["region"], c["service"], "aws4_request"):
        key = hmac_sha256(key, step)
    signature = hmac_sha256(key, to_sign).hex()
    if c["presign"]:
        out = f"{query}&X-Amz-Signature={signature}"
    else:
        out = f"AWS4-HMAC-SHA256 Credential={c['key']}/{scope}, SignedHeaders={signed}, Signature={signature}"
    return {**c, "canonical_request": canonical, "string_to_sign": to_sign, "signature": signature, "output": out}


def main():
    path = pathlib.Path(__file__).with_name("cases.json")
    text = json.dumps([sign(case) for case in CASES], indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        if path.read_text() != text:
            sys.exit(f"{path.name} is stale: run make.py")
    else:
        path.write_text(text)


if __name__ == "__main__":
    main()

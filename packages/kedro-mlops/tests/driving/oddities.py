"""What a server is not asked every day."""

import gzip
from typing import Any

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
TOO_MANY_ROWS = 10_001
TOO_LARGE = 20_000_000

# what no field of any type wants, or nearly so; the last ones are no JSON
STRANGE: list[Any] = [
    None, True, "", "5", "null", [], {}, [1], {"a": 1}, -1, 0, 1e308, -1e-320, 0.1, 2**31,
    2**53 + 1,
    2**63, -(2**63) - 1, 2**64, "NaN", "Infinity", "\x00", "\ud800", "\u202e", "é" * 50, "{braces}",
    "'; DROP TABLE x; --", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999",
    "2013-02-30T00:00:00",
    "2013-07-15T17:30:00Z", "2013-07-15T17:30:00+99:99", "2013-07-15", "1677-09-21T00:00:00",
    "2262-04-12T00:00:00", 253402300800, -62135596801,
]  # fmt: skip
NO_JSON = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", "0x10", "01", "1.", ".5", "+1", "-",
    "undefined", "True", "'x'", "9" * 400, "-" + "9" * 5000, "1" + "0" * 4301, "1e-9999999",
    "1e99999999999999999999", "\"\\u12\"", "\"\\x\"", "\"\n\"", "", ",", "}", "]",
]  # fmt: skip
CONTENT_TYPES = [
    "", ";", "text/plain", "application/xml", "application/x-www-form-urlencoded",
    "application/jso",
    "multipart/form-data; boundary=x", "multipart/form-data", "application/json; charset=utf-16",
    "application/json;;;", "APPLICATION/JSON", "*/*", "application/octet-stream", "a/b/c",
    "\xff/\xff",
    "application/problem+json", "text/event-stream", ARROW, PARQUET, JSON, "x" * 3000,
]  # fmt: skip
PATHS = [
    "/predict/", "//predict", "/predict?rows=1", "/predict%00", "/../../etc/passwd", "/%ff",
    "/PREDICT",
    "/predict/../info", "/nothing", "/" + "a" * 3000, "*", "/?" + "x=1&" * 500, "/docs.json",
    "/livez",
]  # fmt: skip
METHODS = ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW", "post", "POST"]
AUTHORIZATIONS = [
    "", "Bearer", "Bearer ", "Bearer wrong", "Basic eDp5", "bearer\t", "Bearer \xff\xfe", "Token x",
    "Bearer " + "k" * 5000, "Bearer a, Bearer b", ",,,", "Digest username=\"x\"",
]  # fmt: skip
BROKEN_HEADERS = [
    "Content-Length: -1", "Content-Length: abc", "Content-Length: 5, 6", "Content-Length: 1e3",
    "Content-Length: 99999999999999999999999", "Content-Length:", "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, identity", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue", "Expect: nothing", "Host: ", "Host: a\r\nHost: b", "No colon",
    ": empty",
    "Bad Name: x", "X: \x00", "X: \x7f\x01", "X: a\r\n folded", "Connection: close",
    "Connection: upgrade\r\nUpgrade: websocket", "Proxy-Connection: upgrade\r\nUpgrade: h2c",
    "Upgrade: h2c", "Range: bytes=0-1", "Accept: ",
    "X: é",
    "Accept: image/png", "Accept: " + ARROW, "Accept: text/html;q=x", "Accept-Encoding: gzip;q=0",
    "Cookie: " + "a=b; " * 2000, "X: " + "y" * 70_000,
    "\r\n".join(f"X-{i}: {i}" for i in range(500)),
    "Traceparent: 00-zz", "Origin: null", "X-Forwarded-For: ' OR 1", "X-Request-Id: \x1b[31m",
]  # fmt: skip
BOMB = gzip.compress(b" " * TOO_LARGE)
ODD_VALUES = [None, True, 5, -1.5, float("nan"), float("inf"), "x", b"\xff", [1], {"a": 1}, 2**62]

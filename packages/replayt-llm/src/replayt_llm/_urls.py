"""Base URLs: taken apart once, so that the host that was checked is the host that is called."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from replayt_core.errors import LLMError

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, kw_only=True)
class BaseURL:
    """A base URL in parts. `userinfo` and `query` may hold secrets; `public` holds neither."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str = field(repr=False)
    userinfo: str = field(repr=False)

    @property
    def netloc(self) -> str:
        """Host and port, as an event may show them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def public(self) -> str:
        """The URL without userinfo and query."""
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether the host can only be this machine. Odd spellings count as elsewhere."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def endpoint(self, name: str) -> str:
        """The URL to call, with the query the user gave and never the userinfo."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.public}/{name}{query}"

    def basic_auth(self) -> str | None:
        """The `Authorization` value that the userinfo stands for."""
        if not self.userinfo:
            return None
        user, _, password = self.userinfo.partition(":")
        pair = f"{unquote(user)}:{unquote(password)}"
        return "Basic " + b64encode(pair.encode()).decode()

    def secrets(self) -> list[str]:
        """What in this URL may be a secret, as written and decoded."""
        found: list[str] = []
        if self.userinfo:
            user, _, password = self.userinfo.partition(":")
            part = password or user
            found += [self.userinfo, part, unquote(part), (self.basic_auth() or "")[6:]]
        for pair in self.query.split("&"):
            found.append(pair.partition("=")[2])
        found += [value for _, value in parse_qsl(self.query)]
        return list(dict.fromkeys(item for item in found if item))


def parse_base_url(text: str) -> BaseURL:
    """The parts of a base URL.

    Raises `LLMError` (`not_configured`) when it is no http(s) URL; the message shows no userinfo
    and no query.
    """
    try:
        if _FORBIDDEN.search(text):
            raise ValueError("it holds a space, a control character or a backslash")
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https"):
            raise ValueError("it must start with https:// or http://")
        if not host:
            raise ValueError("it has no host")
        host.encode("idna")
    except ValueError as exc:
        problem = str(exc) if str(exc).startswith("it ") else "host or port is malformed"
        raise LLMError(
            "not_configured",
            f"base_url is not usable: {problem}. Give a URL such as https://api.openai.com/v1 "
            "(base_url=, or OPENAI_BASE_URL in the environment).",
        ) from None
    userinfo = parts.netloc.rpartition("@")[0]
    return BaseURL(
        scheme=parts.scheme,
        host=host,
        port=port,
        path=parts.path.rstrip("/"),
        query=parts.query,
        userinfo=userinfo,
    )

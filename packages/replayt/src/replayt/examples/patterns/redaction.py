"""Keep values out of a log for good: pseudonyms before the run, and more secrets to scrub.

Why it exists: `redact_keys` and `Redacted` hide fields by name. Two things they do not do. A hash
of a value that can be guessed can be found by trying, so an id that a workflow only compares should
enter it as a pseudonym made with a key. And a secret that no client knows, such as the password of
a database, is scrubbed wherever it stands once the client names it in `secrets()`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from replayt.llm import ChatRequest, ChatResponse, LLMClient, RetryListener
from replayt_core.ports import DescribesRequests, HoldsSecrets

SHORTEST_KEY = 32


class Pseudonyms:
    """Stable stand-ins for values. Without the key nobody can find the value by trying.

    The key stays outside the logs; whoever has it can tell whether a pseudonym is that of a value,
    and losing it makes old and new runs of one customer strangers to each other.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"the key of pseudonyms has at least {SHORTEST_KEY} bytes")
        self._key = key

    def of(self, kind: str, value: str) -> str:
        """The pseudonym of a value; the same value of another kind has another one."""
        message = f"{len(kind)}:{kind}{value}".encode()
        return f"{kind}-{hmac.new(self._key, message, hashlib.sha256).hexdigest()[:32]}"

    def replace(
        self, inputs: Mapping[str, JsonValue], names: Sequence[str]
    ) -> dict[str, JsonValue]:
        """The inputs with the texts under these names replaced, at the top level.

        Raises `KeyError` for a name that is not there and `TypeError` for one that is no text: a
        value that is passed on in clear by mistake would stand in the log.
        """
        changed = dict(inputs)
        for name in names:
            value = changed[name]
            if not isinstance(value, str):
                raise TypeError(f"{name} is no text, so it has no pseudonym")
            changed[name] = self.of(name, value)
        return changed


class AlsoSecret:
    """A client that also names secrets which it does not use itself, so that no event holds them.

    Give it to `Runner(llm_client=...)`: then they are known before the first event is written. With
    an `AsyncRunner` its calls are made in threads.
    """

    def __init__(self, client: LLMClient, secrets: Sequence[str]) -> None:
        self._client = client
        self._more = tuple(secrets)

    def complete(self, request: ChatRequest, *, on_retry: RetryListener) -> ChatResponse:
        """What the client replies."""
        return self._client.complete(request, on_retry=on_retry)

    def effective(self, request: ChatRequest) -> Mapping[str, JsonValue]:
        """What the client says that it will use."""
        client = self._client
        return client.effective(request) if isinstance(client, DescribesRequests) else {}

    def secrets(self) -> Sequence[str]:
        """The client's own, and the others."""
        known = self._client.secrets() if isinstance(self._client, HoldsSecrets) else ()
        return (*known, *self._more)

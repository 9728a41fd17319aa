"""Serves the model file beside it through llama.cpp, OpenAI-compatible, on a free loopback port.

Usage: serve.py SECONDS [API_KEY]. Prints one line, `READY URL`, and ends after SECONDS, when its
standard input closes (the parent is gone), or on SIGTERM.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import xllamacpp

MODEL = Path(__file__).with_name("tiny.gguf")


def parameters(api_key: str | None) -> xllamacpp.CommonParams:
    """A small server: four requests at once share a context of 16,384 tokens."""
    chosen = xllamacpp.CommonParams()
    chosen.model.path = str(MODEL)
    # The alias is a list in some releases and a set in others.
    chosen.model_alias = type(chosen.model_alias)(["tiny-random"])
    chosen.hostnames = ["127.0.0.1"]
    chosen.port = 0
    chosen.n_parallel = 4
    chosen.n_ctx = 16_384
    chosen.cpuparams.n_threads = 1
    chosen.warmup = False
    chosen.use_jinja = True
    chosen.offline = True
    if api_key is not None:
        chosen.api_keys = [api_key]
    return chosen


def main() -> None:
    """Start, say where, and wait."""
    seconds = float(sys.argv[1])
    api_key = sys.argv[2] if len(sys.argv) > 2 else None
    server = xllamacpp.Server(parameters(api_key))
    print(f"READY {server.listening_address}", flush=True)
    threading.Timer(seconds, os._exit, args=(0,)).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

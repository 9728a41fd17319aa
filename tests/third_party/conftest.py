"""A third party's own tests run where the third party's package is installed."""

collect_ignore_glob = ["replayt-redis-store/*"]

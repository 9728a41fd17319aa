"""Ways to put workflows to work: a web page for approvals, batches, queues, sandboxes, tenants.

Each module is one pattern, small enough to copy and change. `docs/patterns.md` in the repository
says for each why it is built this way, what to run and what to expect.
"""

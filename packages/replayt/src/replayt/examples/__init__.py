"""Runnable workflows: `replayt run examples.issue_triage:wf`, and what `README.md` here lists."""

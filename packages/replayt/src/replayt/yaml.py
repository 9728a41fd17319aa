"""Workflows as YAML files; needs the extra `yaml`."""

from replayt_core.yaml_spec import load_workflow, parse_workflow, workflow_schema

__all__ = ["load_workflow", "parse_workflow", "workflow_schema"]

"""What the report page shows, made from the core's read models: fold, records, why, timeline."""

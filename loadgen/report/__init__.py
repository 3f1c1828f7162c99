"""What a run printed: results, metrics, tables, charts, files."""

"""What a run came to: metrics, results, tables, charts, files.

`metrics` is the table of all figures, `result` makes and reads results, `sections` says what is told,
`table`, `html` and `tabular` write it. Nothing here runs an engine or knows the command line.
"""

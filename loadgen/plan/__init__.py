"""The planner: a question about a fleet, answered by closed forms, then by simulation, reconciled.

`ask` has what is asked (`Case`), `answers` what is said (`Answer`), `topics` a module for each question,
`play` runs scenarios for a given amount of work, `text` and `document` print an answer. Nothing here knows
the command line.
"""

"""Studies: many scenarios that differ in some places, played, judged and kept.

    space (grid, zip, only), quantities, expression      which points there are
    spec                                                 what a study is, and its hash
    store                                                the directory: a result file a point
    pools, executors, playing                            tasks on processes or executors, by memory
    search                                               where a target begins to be missed
    table                                                table.csv and what the command prints

Knows scenario, sim, theory and report; nothing of the command line.
"""

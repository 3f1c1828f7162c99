"""A host's own files: what of them says how it is set, what it has to do and how it fares.

    lines -> counters, sockets, caches -> folder      a file, recognised by its content; a folder of them
    changes    the scenario that the files stand for  compare   what the host counted beside the simulation
    collect    the shell lines that make the files    apply     what each line of a sysctl file would do

Reads what it is given; asks no host and changes none.
"""

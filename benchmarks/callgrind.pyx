"""What callgrind counts, and when: its client requests. Outside of valgrind they do nothing."""

cdef extern from *:
    """
    #include <valgrind/callgrind.h>
    static void counting_start(void) { CALLGRIND_START_INSTRUMENTATION; }
    static void counting_toggle(void) { CALLGRIND_TOGGLE_COLLECT; }
    static void counting_dump(const char* name) { CALLGRIND_DUMP_STATS_AT(name); }
    static int counting_runs(void) { return RUNNING_ON_VALGRIND; }
    """
    void counting_start() nogil
    void counting_toggle() nogil
    void counting_dump(const char* name) nogil
    int counting_runs() nogil


def runs():
    """Whether this process runs under valgrind."""
    return counting_runs() != 0


def start():
    """From here on instructions are seen (before, the program runs several times faster)."""
    counting_start()


def toggle():
    """Begin to count, or stop."""
    counting_toggle()


def dump(bytes name):
    """Write what was counted since the last dump to a file that says `name`, and start from zero."""
    counting_dump(name)

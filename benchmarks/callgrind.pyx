"""Client requests of valgrind's callgrind: what it counts, and when. Outside of valgrind they do nothing."""

cdef extern from *:
    """
    #include <valgrind/callgrind.h>
    static void counting_start(void) { CALLGRIND_START_INSTRUMENTATION; }
    static void counting_toggle(void) { CALLGRIND_TOGGLE_COLLECT; }
    static void counting_dump(const char* name) { CALLGRIND_DUMP_STATS_AT(name); }
    """
    void counting_start() nogil
    void counting_toggle() nogil
    void counting_dump(const char* name) nogil


def start():
    """Start to instrument: until then the program runs several times faster, and nothing can be counted."""
    counting_start()


def toggle():
    """Begin or stop to count."""
    counting_toggle()


def dump(bytes name):
    """Write the counts since the last dump to a file that carries `name`, and reset them."""
    counting_dump(name)

# Threads that work off numbered items together with the caller: item i is task(argument, i), each once.
#
# Which thread takes which item is not defined: a task writes only to what belongs to its item. The threads
# are started by the first run that has use for them; they wait for a moment after each run, then sleep. In a
# child process after fork() there are none, and the caller does all items.
# Invariant: workers_run() returns after the last item is done; between runs no thread touches anything.
cdef enum:
    MAX_WORKERS = 255         # threads besides the caller

ctypedef void (*WorkerTask)(void* argument, Py_ssize_t item) noexcept nogil

cdef struct Workers:
    void* team                # what the threads share; NULL before the first run and where none could start
    int wanted                # threads besides the caller
    int pid                   # process that started them

cdef void workers_init(Workers* workers, int threads) noexcept nogil
cdef void workers_free(Workers* workers) noexcept nogil
cdef void workers_run(Workers* workers, WorkerTask task, void* argument, Py_ssize_t items) noexcept nogil

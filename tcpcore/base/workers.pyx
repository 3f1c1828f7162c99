"""A team of POSIX threads for work that is divided into independent items.

No TCP, no Python: the caller releases the GIL before it runs anything here. A run costs a few microseconds
when the threads are still waiting actively and a wake-up when they sleep.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t* thread, const void* attributes, void* (*start)(void*) noexcept nogil,
                       void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_cond_init(pthread_cond_t* condition, const void* attributes)
    int pthread_cond_destroy(pthread_cond_t* condition)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_broadcast(pthread_cond_t* condition)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t* signals)
    int pthread_sigmask(int how, const sigset_t* signals, sigset_t* former)
    int SIG_SETMASK

cdef extern from "<unistd.h>" nogil:
    int getpid()

cdef extern from *:
    """
    #define TC_LOAD64(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define TC_STORE64(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
    #define TC_ADD64(p, value) __atomic_fetch_add((p), (value), __ATOMIC_ACQ_REL)
    #if defined(__x86_64__) || defined(__i386__)
    #define TC_PAUSE() __builtin_ia32_pause()
    #else
    #define TC_PAUSE() __asm__ volatile("" ::: "memory")
    #endif
    """
    uint64_t load "TC_LOAD64"(const uint64_t* p) noexcept nogil
    void store "TC_STORE64"(uint64_t* p, uint64_t value) noexcept nogil
    uint64_t fetch_add "TC_ADD64"(uint64_t* p, uint64_t value) noexcept nogil
    void pause "TC_PAUSE"() noexcept nogil

cdef enum:
    PATIENCE = 4000           # turns of active waiting, some 50 to 150 us, before a thread sleeps

cdef struct Team:
    pthread_t threads[MAX_WORKERS]
    pthread_mutex_t lock      # for `sleepers` and the conditions
    pthread_cond_t begun      # a run has begun, or the team is dismissed
    pthread_cond_t ended      # the last thread has left a run
    int n                     # threads that were started
    uint64_t run              # number of the run; a thread that sees it change joins
    uint64_t next             # first item that nobody has taken
    uint64_t items
    uint64_t inside           # threads that have not left the run yet
    uint64_t dismissed
    WorkerTask task
    void* argument


cdef void work(Team* team) noexcept nogil:
    """Take items until there are none."""
    cdef uint64_t item = fetch_add(&team.next, 1)
    while item < team.items:
        team.task(team.argument, item)
        item = fetch_add(&team.next, 1)


cdef uint64_t await_run(Team* team, uint64_t seen) noexcept nogil:
    """The number of the next run after `seen`; waits actively at first, then asleep."""
    for _ in range(PATIENCE):
        if load(&team.run) != seen:
            return load(&team.run)
        pause()
    pthread_mutex_lock(&team.lock)
    while load(&team.run) == seen:
        pthread_cond_wait(&team.begun, &team.lock)
    pthread_mutex_unlock(&team.lock)
    return load(&team.run)


cdef void* worker(void* shared) noexcept nogil:
    """What each thread does: join run after run until dismissed."""
    cdef Team* team = <Team*>shared
    cdef uint64_t seen = 0
    while True:
        seen = await_run(team, seen)
        if load(&team.dismissed):
            return NULL
        work(team)
        if fetch_add(&team.inside, <uint64_t>-1) == 1:
            pthread_mutex_lock(&team.lock)
            pthread_cond_broadcast(&team.ended)
            pthread_mutex_unlock(&team.lock)


cdef void begin_run(Team* team) noexcept nogil:
    """Wake every thread; what they need has been written before."""
    pthread_mutex_lock(&team.lock)
    store(&team.run, team.run + 1)
    pthread_cond_broadcast(&team.begun)
    pthread_mutex_unlock(&team.lock)


cdef void await_end(Team* team) noexcept nogil:
    """Wait until every thread has left the run."""
    for _ in range(PATIENCE):
        if load(&team.inside) == 0:
            return
        pause()
    pthread_mutex_lock(&team.lock)
    while load(&team.inside):
        pthread_cond_wait(&team.ended, &team.lock)
    pthread_mutex_unlock(&team.lock)


cdef Team* assemble(int wanted) noexcept nogil:
    """A team of at most `wanted` threads; NULL when not even one can be started."""
    cdef Team* team = <Team*>calloc(1, sizeof(Team))
    cdef sigset_t every, former
    if team == NULL:
        return NULL
    pthread_mutex_init(&team.lock, NULL)
    pthread_cond_init(&team.begun, NULL)
    pthread_cond_init(&team.ended, NULL)
    sigfillset(&every)                  # signals are for the threads of the interpreter
    pthread_sigmask(SIG_SETMASK, &every, &former)
    while team.n < wanted and pthread_create(&team.threads[team.n], NULL, worker, team) == 0:
        team.n += 1
    pthread_sigmask(SIG_SETMASK, &former, NULL)
    if team.n == 0:
        dismiss(team)
        return NULL
    return team


cdef void dismiss(Team* team) noexcept nogil:
    """End the threads and give the memory back."""
    cdef int i
    store(&team.dismissed, 1)
    begin_run(team)
    for i in range(team.n):
        pthread_join(team.threads[i], NULL)
    pthread_cond_destroy(&team.begun)
    pthread_cond_destroy(&team.ended)
    pthread_mutex_destroy(&team.lock)
    free(team)


cdef void workers_init(Workers* workers, int threads) noexcept nogil:
    """For runs by up to `threads` threads, the caller among them; starts none yet."""
    workers.team = NULL
    workers.wanted = min(threads - 1, <int>MAX_WORKERS)
    workers.pid = 0


cdef void workers_free(Workers* workers) noexcept nogil:
    """End the threads. After fork() the child has none to end, and the team's memory stays with it."""
    if workers.team != NULL and workers.pid == getpid():
        dismiss(<Team*>workers.team)
    workers.team = NULL


cdef void workers_run(Workers* workers, WorkerTask task, void* argument, Py_ssize_t items) noexcept nogil:
    """Do task(argument, i) for every i in 0 .. items - 1, the caller taking part."""
    cdef Py_ssize_t i
    cdef Team* team
    if workers.wanted > 0 and items > 1 and workers.pid == 0:
        workers.pid = getpid()
        workers.team = assemble(workers.wanted)
    if workers.team == NULL or items <= 1 or workers.pid != getpid():
        for i in range(items):
            task(argument, i)
        return
    team = <Team*>workers.team
    team.task, team.argument = task, argument
    team.items = items
    team.inside = team.n
    store(&team.next, 0)
    begin_run(team)
    work(team)
    await_end(team)

"""A team of POSIX threads for work that is divided into independent items.

No TCP, no Python: the caller releases the GIL before it runs anything here. It never waits for a thread that
has taken nothing: where the CPUs are busy with something else, it does all items itself.
"""

from libc.stdint cimport int64_t
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

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from *:
    """
    #define TC_LOAD64(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define TC_STORE64(p, value) __atomic_store_n((p), (value), __ATOMIC_SEQ_CST)
    #define TC_ADD64(p, value) __atomic_fetch_add((p), (value), __ATOMIC_SEQ_CST)
    #if defined(__x86_64__) || defined(__i386__)
    #define TC_PAUSE() __builtin_ia32_pause()
    #else
    #define TC_PAUSE() __asm__ volatile("" ::: "memory")
    #endif
    """
    int64_t load "TC_LOAD64"(const int64_t* p) noexcept nogil
    void store "TC_STORE64"(int64_t* p, int64_t value) noexcept nogil
    int64_t fetch_add "TC_ADD64"(int64_t* p, int64_t value) noexcept nogil
    void pause "TC_PAUSE"() noexcept nogil

cdef enum:
    PATIENCE = 4000           # turns of active waiting, some 50 to 150 us, before a thread sleeps

cdef struct Team:
    pthread_t threads[MAX_WORKERS]
    pthread_mutex_t lock      # of those that fall asleep
    pthread_cond_t begun      # there are items, or the team is dismissed
    int n                     # threads that were started
    int64_t sleepers
    int64_t left              # items that nobody has taken; below 0 as often as somebody found none
    int64_t done              # items of this run that are done
    int64_t dismissed
    WorkerTask task           # of the run; whoever has taken an item of it may read them
    void* argument


cdef void work(Team* team) noexcept nogil:
    """Take items until there are none.

    A thread that comes late takes one of a later run, or none: what it takes says so itself. A run does not
    end before its last item is done, so what is read of it then is that run's.
    """
    cdef int64_t ticket = fetch_add(&team.left, -1)
    while ticket > 0:
        team.task(team.argument, ticket - 1)
        fetch_add(&team.done, 1)
        ticket = fetch_add(&team.left, -1)


cdef void await_items(Team* team) noexcept nogil:
    """Wait for items, or for the end; actively at first, then asleep."""
    for _ in range(PATIENCE):
        if load(&team.left) > 0 or load(&team.dismissed):
            return
        pause()
    pthread_mutex_lock(&team.lock)
    fetch_add(&team.sleepers, 1)
    while load(&team.left) <= 0 and not load(&team.dismissed):
        pthread_cond_wait(&team.begun, &team.lock)
    fetch_add(&team.sleepers, -1)
    pthread_mutex_unlock(&team.lock)


cdef void* worker(void* shared) noexcept nogil:
    """What each thread does until the team is dismissed."""
    cdef Team* team = <Team*>shared
    while not load(&team.dismissed):
        await_items(team)
        work(team)
    return NULL


cdef void wake(Team* team) noexcept nogil:
    """Wake those that sleep; what they wait for has been stored before."""
    if load(&team.sleepers):
        pthread_mutex_lock(&team.lock)
        pthread_cond_broadcast(&team.begun)
        pthread_mutex_unlock(&team.lock)


cdef Team* assemble(int wanted) noexcept nogil:
    """A team of at most `wanted` threads; NULL when not even one can be started."""
    cdef Team* team = <Team*>calloc(1, sizeof(Team))
    cdef sigset_t every, former
    if team == NULL:
        return NULL
    pthread_mutex_init(&team.lock, NULL)
    pthread_cond_init(&team.begun, NULL)
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
    wake(team)
    for i in range(team.n):
        pthread_join(team.threads[i], NULL)
    pthread_cond_destroy(&team.begun)
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
    team.task, team.argument, team.done = task, argument, 0
    store(&team.left, items)
    wake(team)
    work(team)
    for _ in range(PATIENCE):                 # for what the others have taken
        if load(&team.done) == items:
            return
        pause()
    while load(&team.done) != items:
        sched_yield()

/* The flow table's lookup in C, to measure what Cython costs.
 *
 * The loop of tcpcore/components/flow_table.pyx: SipHash-1-3 of a batch in vector lanes, then a rolling prefetch
 * of head, first and second TCB, then the walk along the chain. Same sizes and flags.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define AHEAD 16
#define LANES 64 /* messages packed at a time */

#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define CLONES
#endif

struct segment { uint32_t src, dst; uint16_t sport, dport; uint32_t rest[7]; };
struct block { uint32_t raddr, laddr; uint16_t rport, lport; uint32_t next; uint32_t rest[12]; };
struct table { uint32_t *heads, *hashes; struct block *blocks; uint32_t mask, used; uint64_t k0, k1; };

static void *mapped(size_t size)
{
    size_t huge = 1 << 21;
    char *base = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    base = (char *)(((uintptr_t)base + huge - 1) & ~(huge - 1));
    madvise(base, size, MADV_HUGEPAGE);
    return base;
}

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND \
    do { \
        v0 += v1; v2 += v3; v1 = ROTL(v1, 13) ^ v0; v3 = ROTL(v3, 16) ^ v2; v0 = ROTL(v0, 32) + v3; \
        v2 += v1; v1 = ROTL(v1, 17) ^ v2; v3 = ROTL(v3, 21) ^ v0; v2 = ROTL(v2, 32); \
    } while (0)

CLONES static void sip13(uint64_t k0, uint64_t k1, const uint64_t *restrict a, const uint64_t *restrict b,
                         uint32_t *restrict out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
        uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL ^ a[i];
        ROUND; v0 ^= a[i]; v3 ^= b[i];
        ROUND; v0 ^= b[i]; v2 ^= 0xff;
        ROUND; ROUND; ROUND;
        out[i] = (uint32_t)(v0 ^ v1 ^ v2 ^ v3);
    }
}

static void hash_batch(const struct table *t, const struct segment *segs, uint32_t n, uint32_t *out)
{
    uint64_t a[LANES], b[LANES];
    for (uint32_t done = 0; done < n; done += LANES) {
        uint32_t part = n - done < LANES ? n - done : LANES;
        for (uint32_t i = 0; i < part; i++) {
            const struct segment *s = &segs[done + i];
            a[i] = s->src | (uint64_t)s->dst << 32;
            b[i] = s->sport | (uint64_t)s->dport << 16 | (uint64_t)12 << 56;
        }
        sip13(t->k0, t->k1, a, b, out + done, part);
    }
}

struct table *lookup_new(uint32_t capacity, uint32_t batch)
{
    struct table *t = calloc(1, sizeof *t);
    uint32_t heads = 2;
    while (heads < 2 * capacity)
        heads *= 2;
    t->mask = heads - 1;
    t->k0 = 0x0706050403020100ULL;
    t->k1 = 0x0f0e0d0c0b0a0908ULL;
    t->heads = mapped(heads * sizeof *t->heads);
    t->blocks = mapped((size_t)capacity * sizeof *t->blocks);
    t->hashes = mapped(batch * sizeof *t->hashes);
    return t;
}

void lookup_insert(struct table *t, const struct segment *segs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct segment *s = &segs[i];
        uint32_t hash, *head;
        hash_batch(t, s, 1, &hash);
        head = &t->heads[hash & t->mask];
        struct block *b = &t->blocks[t->used++];
        b->raddr = s->src; b->laddr = s->dst; b->rport = s->sport; b->lport = s->dport;
        b->next = *head;
        *head = t->used;
    }
}

void lookup_find(struct table *t, const struct segment *segs, uint32_t n, uint32_t *refs)
{
    uint32_t *h = t->hashes, ref;
    hash_batch(t, segs, n, h);
    for (uint32_t i = 0; i < n; i++) {
        const struct segment *s = &segs[i];
        if (i + 2 * AHEAD < n)
            __builtin_prefetch(&t->heads[h[i + 2 * AHEAD] & t->mask]);
        if (i + AHEAD < n && (ref = t->heads[h[i + AHEAD] & t->mask]))
            __builtin_prefetch(&t->blocks[ref - 1]);
        if (i + AHEAD / 2 < n && (ref = t->heads[h[i + AHEAD / 2] & t->mask]) && t->blocks[ref - 1].next)
            __builtin_prefetch(&t->blocks[t->blocks[ref - 1].next - 1]);
        for (ref = t->heads[h[i] & t->mask]; ref; ref = t->blocks[ref - 1].next) {
            const struct block *b = &t->blocks[ref - 1];
            if (b->raddr == s->src && b->rport == s->sport && b->laddr == s->dst && b->lport == s->dport)
                break;
        }
        refs[i] = ref;
    }
}

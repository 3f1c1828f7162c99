/* The flow table's lookup in C: what Cython costs, and the least that a segment can cost (lookup_touch).
 *
 * lookup_find is the loop of tcpcore/components/flow_table.pyx: SipHash-1-3 of a batch in vector lanes, then a
 * rolling prefetch of bucket and block, then the tuple compared. Same sizes and flags. The skeleton has a table
 * with less to it: heads of chains, two a block, and of a chain it takes the first block.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define AHEAD 16
#define LANES 64 /* messages packed at a time */

#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define CLONES
#endif

/* A function that only prefetches looks pure to gcc, which drops its calls: the empty asm, as in base/prefetch.pxd. */
#define PREFETCH(p) do { __builtin_prefetch((p), 1, 3); __asm__ volatile(""); } while (0)

struct segment { uint32_t src, dst; uint16_t sport, dport; uint32_t rest[7]; };
struct block { uint32_t raddr, laddr; uint16_t rport, lport; uint32_t next, overflow, rest[11]; };
struct bucket { uint8_t tags[12]; uint32_t refs[13]; };
struct table {
    uint32_t *heads, *hashes;
    struct bucket *buckets;
    struct block *blocks;
    uint32_t mask, bucket_mask, used, capacity, batch;
    uint64_t k0, k1;
};

static const size_t huge = 1 << 21;

/* Huge pages where the system gives them; what is left over at both ends is address space only. */
static void *mapped(size_t size)
{
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
    uint32_t heads = 2, buckets = 1;
    while (heads < 2 * capacity)
        heads *= 2;
    while (8 * buckets < capacity)
        buckets *= 2;
    t->mask = heads - 1;
    t->bucket_mask = buckets - 1;
    t->capacity = capacity;
    t->batch = batch;
    t->k0 = 0x0706050403020100ULL;
    t->k1 = 0x0f0e0d0c0b0a0908ULL;
    t->heads = mapped(heads * sizeof *t->heads);
    t->buckets = mapped(buckets * sizeof *t->buckets);
    t->blocks = mapped((size_t)capacity * sizeof *t->blocks);
    t->hashes = mapped(batch * sizeof *t->hashes);
    return t;
}

void lookup_free(struct table *t)
{
    munmap(t->heads, ((size_t)t->mask + 1) * sizeof *t->heads);
    munmap(t->buckets, ((size_t)t->bucket_mask + 1) * sizeof *t->buckets);
    munmap(t->blocks, (size_t)t->capacity * sizeof *t->blocks);
    munmap(t->hashes, t->batch * sizeof *t->hashes);
    free(t);
}

static inline uint8_t tag_of(uint32_t hash) { return (uint8_t)((hash >> 24) + (hash >> 24 == 0)); }

/* Bit i for each of the 12 tags of a bucket that is this one. */
static inline uint32_t equal(const struct bucket *b, uint8_t tag)
{
#ifdef __SSE2__
    __m128i all = _mm_loadu_si128((const __m128i *)b);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8((char)tag))) & 0xFFF;
#else
    uint32_t found = 0;
    for (int i = 0; i < 12; i++)
        found |= (uint32_t)(b->tags[i] == tag) << i;
    return found;
#endif
}

/* A block into its bucket; where that is full, before the chain behind refs[12]. */
static void enter(struct table *t, uint32_t hash, uint32_t ref)
{
    struct bucket *bucket = &t->buckets[hash & t->bucket_mask];
    uint32_t place = (uint32_t)__builtin_ctz(equal(bucket, 0) | 1 << 12);
    if (place < 12)
        bucket->tags[place] = tag_of(hash);
    else
        t->blocks[ref - 1].overflow = bucket->refs[12];
    bucket->refs[place] = ref;
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
        enter(t, hash, t->used);
    }
}

static inline int is_of(const struct block *b, const struct segment *s)
{
    return b->raddr == s->src && b->rport == s->sport && b->laddr == s->dst && b->lport == s->dport;
}

static inline uint32_t candidate(const struct table *t, uint32_t hash)
{
    const struct bucket *b = &t->buckets[hash & t->bucket_mask];
    return b->refs[__builtin_ctz(equal(b, tag_of(hash)) | 1 << 12)];
}

/* What the look-up asks for ahead of row i. */
static inline void ask_for_owner(const struct table *t, uint32_t n, uint32_t i)
{
    const uint32_t *h = t->hashes;
    uint32_t ref;
    if (i + 2 * AHEAD < n)
        PREFETCH(&t->buckets[h[i + 2 * AHEAD] & t->bucket_mask]);
    if (i + AHEAD < n && (ref = candidate(t, h[i + AHEAD])))
        PREFETCH(&t->blocks[ref - 1]);
}

/* The reference of the block with the row's tuple; 0 if there is none. */
static inline uint32_t owner(const struct table *t, const struct segment *s, uint32_t hash)
{
    const struct bucket *b = &t->buckets[hash & t->bucket_mask];
    uint32_t ref;
    for (uint32_t alike = equal(b, tag_of(hash)); alike; alike &= alike - 1)
        if (is_of(&t->blocks[(ref = b->refs[__builtin_ctz(alike)]) - 1], s))
            return ref;
    for (ref = b->refs[12]; ref && !is_of(&t->blocks[ref - 1], s); ref = t->blocks[ref - 1].overflow)
        ;
    return ref;
}

void lookup_find(struct table *t, const struct segment *segs, uint32_t n, uint32_t *refs)
{
    hash_batch(t, segs, n, t->hashes);
    for (uint32_t i = 0; i < n; i++) {
        ask_for_owner(t, n, i);
        refs[i] = owner(t, &segs[i], t->hashes[i]);
    }
}

/* What the skeleton asks for ahead of row i. */
static inline void ask_for_first(const struct table *t, uint32_t n, uint32_t i)
{
    const uint32_t *h = t->hashes;
    uint32_t ref;
    if (i + 2 * AHEAD < n)
        PREFETCH(&t->heads[h[i + 2 * AHEAD] & t->mask]);
    if (i + AHEAD < n && (ref = t->heads[h[i + AHEAD] & t->mask]))
        PREFETCH(&t->blocks[ref - 1]);
}

/* The skeleton, and the engine's look-up with the same write. */
enum { FIRST_BLOCK, OWNER };

static inline uint32_t touch_batch(struct table *t, const struct segment *segs, uint32_t n, int stage)
{
    uint32_t lost = 0;
    hash_batch(t, segs, n, t->hashes);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t ref;
        if (stage == FIRST_BLOCK) {
            ask_for_first(t, n, i);
            ref = t->heads[t->hashes[i] & t->mask];
        } else {
            ask_for_owner(t, n, i);
            ref = owner(t, &segs[i], t->hashes[i]);
        }
        if (ref)
            t->blocks[ref - 1].rest[10] += segs[i].rest[0];
        else
            lost++;
    }
    return lost;
}

/* Each row's head or bucket is read and one word of a block written, batch after batch: of the first block of its
 * chain, with OWNER of the block that has its tuple. Returns how many rows found none. The rows stream in as they
 * lie: in random order. */
uint32_t lookup_touch(struct table *t, const struct segment *segs, uint32_t n, int stage)
{
    uint32_t lost = 0;
    for (uint32_t done = 0; done < n; done += t->batch) {
        uint32_t part = n - done < t->batch ? n - done : t->batch;
        if (stage == FIRST_BLOCK)
            lost += touch_batch(t, segs + done, part, FIRST_BLOCK);
        else
            lost += touch_batch(t, segs + done, part, OWNER);
    }
    return lost;
}

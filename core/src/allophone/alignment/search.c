/* The search over a batch: selects the instruction set and runs the threads. */

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "search.h"

/* Prefetch distance for scores, in floats. The band of reachable tokens leaves gaps between the reads
 * of two frames, which the hardware prefetcher does not cross. Prefetching past the end is harmless. */
enum { PREFETCH_AHEAD = 1536 };

#include "instruction_sets.h"

enum {
    CACHE_LINE = 64,
    MAX_THREADS = 256,
    /* Minimum work of a thread: takes about as long as starting one (60 microseconds). */
    CELLS_PER_THREAD = 1 << 19,
};

struct instruction_set {
    const char *name;
    size_t lanes;
    size_t bits_size;
    bool (*search_utterance)(const float *, int64_t, int64_t, int64_t, void *, int64_t *,
                             int64_t *);
};

#define ENTRY(set, lanes) {#set, lanes, sizeof(bits_##set), search_utterance_##set}

static const struct instruction_set *instruction_set_of_rank(int32_t rank) {
#if defined(__x86_64__)
    static const struct instruction_set sets[] = {ENTRY(avx512, 16), ENTRY(avx2, 8), ENTRY(sse2, 4),
                                                  ENTRY(plain, 1)};
    if (!__builtin_cpu_supports("avx2"))
        rank += 2;
    else if (!__builtin_cpu_supports("avx512f"))
        rank += 1;
#else
    static const struct instruction_set sets[] = {ENTRY(plain, 1)};
#endif
    return rank < (int32_t)(sizeof sets / sizeof *sets) ? &sets[rank] : NULL;
}

const char *instruction_set_name(int32_t rank) {
    const struct instruction_set *set = instruction_set_of_rank(rank);
    return set ? set->name : NULL;
}

size_t workspace_bytes(int32_t instruction_set, int64_t frames, int64_t tokens) {
    const struct instruction_set *set = instruction_set_of_rank(instruction_set);
    const size_t vectors = ((size_t)tokens + set->lanes - 1) / set->lanes;
    const size_t totals = (vectors + 1) * set->lanes * sizeof(float);
    const size_t decisions = (size_t)frames * vectors * set->bits_size;
    return (totals + decisions + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

/* State shared by the threads of one call. */
struct shared {
    struct search *search;
    const struct instruction_set *set;
    atomic_int_fast64_t next;  /* next utterance to process */
    atomic_int workers; /* number of threads started */
};

static enum refusal search_row(const struct shared *shared, int64_t row, void *workspace) {
    const struct search *search = shared->search;
    const int64_t frames = search->frame_lengths[row], tokens = search->token_lengths[row];
    int64_t *index = search->index + row * search->frames;
    int64_t *durations = search->durations + row * search->tokens;
    const int64_t path_length = tokens > 0 ? frames : 0;

    memset(index + path_length, 0, (size_t)(search->frames - path_length) * sizeof *index);
    memset(durations + tokens, 0, (size_t)(search->tokens - tokens) * sizeof *durations);
    if (tokens == 0) return ACCEPTED;
    const float *scores = search->scores + row * search->frames * search->tokens;
    const bool aligned = shared->set->search_utterance(scores, search->tokens, frames, tokens,
                                                       workspace, index, durations);
    return aligned ? ACCEPTED : SCORE_NOT_FINITE;
}

static void *work(void *argument) {
    struct shared *shared = argument;
    const struct search *search = shared->search;
    const int worker = atomic_fetch_add(&shared->workers, 1);
    char *workspace =
        (char *)search->workspace +
        worker * workspace_bytes(search->instruction_set, search->frames, search->tokens);
    int64_t row;
    while ((row = atomic_fetch_add(&shared->next, 1)) < search->batch)
        search->refusals[row] = search_row(shared, row, workspace);
    return NULL;
}

/* Rejects utterances whose lengths allow no path, before reading any score; returns their number. */
static int64_t refuse_lengths(const struct search *search) {
    int64_t refused = 0;
    for (int64_t row = 0; row < search->batch; ++row) {
        const int64_t frames = search->frame_lengths[row], tokens = search->token_lengths[row];
        enum refusal refusal = ACCEPTED;
        if (frames < 0 || frames > search->frames || tokens < 0 || tokens > search->tokens)
            refusal = LENGTH_OUT_OF_RANGE;
        else if (tokens > frames)
            refusal = MORE_TOKENS_THAN_FRAMES;
        search->refusals[row] = refusal;
        refused += refusal != ACCEPTED;
    }
    return refused;
}

/* The number of threads to use for the batch. */
static int worthwhile_threads(const struct search *search) {
    int64_t cells = 0;
    for (int64_t row = 0; row < search->batch; ++row)
        cells += search->frame_lengths[row] * search->token_lengths[row];
    int64_t threads = cells / CELLS_PER_THREAD;
    if (threads > search->threads) threads = search->threads;
    if (threads > search->batch) threads = search->batch;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    return threads > 1 ? (int)threads : 1;
}

int64_t search_batch(struct search *search) {
    int64_t refused = refuse_lengths(search);
    if (refused) return refused;

    struct shared shared = {.search = search,
                            .set = instruction_set_of_rank(search->instruction_set)};
    /* Threads are started per call: a pool would not survive the fork of a data loader worker. If
     * the system grants fewer threads, the existing ones do all the work. */
    const int threads = worthwhile_threads(search);
    pthread_t helpers[MAX_THREADS];
    int started = 0;
    while (started < threads - 1 && pthread_create(&helpers[started], NULL, work, &shared) == 0)
        ++started;
    work(&shared);
    while (started > 0) pthread_join(helpers[--started], NULL);

    for (int64_t row = 0; row < search->batch; ++row) refused += search->refusals[row] != ACCEPTED;
    return refused;
}

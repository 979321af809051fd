/* The search of one utterance, written once and compiled once for each instruction set.
 *
 * Frames are the outer loop and tokens the inner one, as the scores lie in memory. The running
 * totals of one row of tokens are updated in place, a vector of LANES tokens at a time; of each
 * cell only the decision is kept, as one bit: was it reached by a step from the token before?
 * Walking back over these bits gives the path.
 *
 * Before including this file define
 *     FOR(name)     the name with a suffix for the instruction set
 *     TARGET        the function attribute that lets the compiler use it
 *     LANES         how many floats a vector holds
 * and the types FOR(vector), and FOR(bits) of LANES bits or more, with the operations
 *     load, store, add, greater
 *     splat(x)                     a vector with x in every lane
 *     load_between(p, low, high)   lanes low..high of what lies at p, without touching the others,
 *                                  which are -inf
 *     shift_in(before, v)          the last lane of `before`, then all but the last lane of v
 *     less(a, b)                   one bit a lane: a < b
 *     not_less(a, b)               one bit a lane: not a < b, so set for a NaN
 */

/* Aligns an utterance of 1 <= tokens <= frames, whose rows of scores lie `stride` floats apart.
 * False where a score is NaN or +inf, or the sum along a path became it: then nothing is written.
 */
TARGET static bool FOR(search_utterance)(const float *scores, int64_t stride, int64_t frames,
                                         int64_t tokens, void *workspace, int64_t *index,
                                         int64_t *durations) {
    const int64_t vectors = (tokens + LANES - 1) / LANES;
    const int64_t last_token = tokens - 1;
    float *totals = (float *)workspace + LANES; /* a vector of -inf lies before the first token */
    FOR(bits) *stepped = (FOR(bits) *)(totals + vectors * LANES); /* [frames, vectors] */
    int refused = 0;

    for (int64_t vector = -1; vector < vectors; ++vector)
        FOR(store)(totals + vector * LANES, FOR(splat)(-INFINITY));
    totals[-1] = 0; /* the state before the first frame, from which token 0 alone can be reached */

    for (int64_t frame = 0; frame < frames; ++frame) {
        /* The tokens that a path through this frame can be at, if it is to start at token 0 in
         * frame 0 and to end at the last token in the last frame. */
        const int64_t first = frame + tokens > frames ? frame + tokens - frames : 0;
        const int64_t last = frame < last_token ? frame : last_token;
        const float *row = scores + frame * stride;
        int64_t vector = first / LANES;
        FOR(vector) before = FOR(load)(totals + (vector - 1) * LANES);

        for (; vector <= last / LANES; ++vector) {
            const int64_t base = vector * LANES;
            const bool whole = base >= first && base + LANES - 1 <= last;
            const int low = base < first ? (int)(first - base) : 0;
            const int high = last - base < LANES ? (int)(last - base) : LANES - 1;
            __builtin_prefetch(row + base + PREFETCH_AHEAD);
            const FOR(vector) score =
                whole ? FOR(load)(row + base) : FOR(load_between)(row + base, low, high);
            const FOR(vector) stay = FOR(load)(totals + base);
            const FOR(vector) step = FOR(shift_in)(before, stay);
            const FOR(vector) total = FOR(add)(score, FOR(greater)(stay, step));
            FOR(store)(totals + base, total);
            stepped[frame * vectors + vector] = (FOR(bits))FOR(less)(stay, step);
            refused |= FOR(not_less)(total, FOR(splat)(INFINITY));
            before = stay;
        }
        if (frame == 0) totals[-1] = -INFINITY;
    }
    if (refused) return false;

    /* At token == frame only a step leads back, whatever was decided between -inf and -inf. */
    int64_t token = last_token;
    for (int64_t frame = frames - 1; frame >= 0; --frame) {
        const int bit = stepped[frame * vectors + token / LANES] >> (token % LANES) & 1;
        index[frame] = token;
        durations[token] = frame; /* in the end the token's first frame */
        token -= bit | (token == frame);
    }
    for (token = 0; token < tokens; ++token)
        durations[token] = (token < last_token ? durations[token + 1] : frames) - durations[token];
    return true;
}

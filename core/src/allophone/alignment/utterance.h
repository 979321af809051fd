/* The search of one utterance; this file is compiled once for each instruction set.
 *
 * The outer loop runs over frames and the inner one over tokens, in memory order. The running totals
 * of one row of tokens are updated in place, a vector of LANES tokens at a time. Each cell stores only
 * one bit: whether it was reached by a step from the previous token. Backtracking over these bits
 * gives the path.
 *
 * Before including this file define
 *     FOR(name)     the name with a suffix for the instruction set
 *     TARGET        the function attribute that enables the instruction set
 *     LANES         number of floats in a vector
 * and the types FOR(vector), and FOR(bits) of LANES bits or more, with the operations
 *     load, store, add, greater
 *     splat(x)                     a vector with x in every lane
 *     load_between(p, low, high)   loads lanes low..high from p and sets the others to -inf,
 *                                  without reading them from memory
 *     shift_in(before, v)          the last lane of `before`, then all but the last lane of v
 *     less(a, b)                   one bit a lane: a < b
 *     not_less(a, b)               one bit a lane: not a < b, so set for a NaN
 */

/* Adds the scores of one vector of tokens to their totals. `before` holds the totals that the previous
 * vector had in the previous frame; returns those of this vector. */
TARGET INLINE FOR(vector) FOR(advance)(FOR(vector) score, FOR(vector) before, float *totals,
                                       FOR(bits) *stepped, int *refused) {
    const FOR(vector) stay = FOR(load)(totals);
    const FOR(vector) step = FOR(shift_in)(before, stay);
    const FOR(vector) total = FOR(add)(score, FOR(greater)(stay, step));
    FOR(store)(totals, total);
    *stepped = (FOR(bits))FOR(less)(stay, step);
    *refused |= FOR(not_less)(total, FOR(splat)(INFINITY));
    return stay;
}

/* Fills `stepped` [frames, vectors of tokens], frame by frame. There must be room for one vector before
 * `totals`. Returns false if a score or a sum of scores is NaN or +inf. */
TARGET static bool FOR(decide)(const float *scores, int64_t stride, int64_t frames, int64_t tokens,
                               float *totals, FOR(bits) *stepped) {
    const int64_t vectors = (tokens + LANES - 1) / LANES;
    int refused = 0;

    for (int64_t vector = -1; vector < vectors; ++vector)
        FOR(store)(totals + vector * LANES, FOR(splat)(-INFINITY));
    totals[-1] = 0; /* state before the first frame, from which only token 0 can be reached */

    for (int64_t frame = 0; frame < frames; ++frame) {
        /* The band of tokens that a path can reach in this frame, if it starts at token 0 in frame 0
         * and ends at the last token in the last frame. */
        const int64_t first = frame + tokens > frames ? frame + tokens - frames : 0;
        const int64_t last = frame < tokens ? frame : tokens - 1;
        const int64_t last_vector = last / LANES;
        const int low = (int)(first % LANES), high = (int)(last % LANES);
        const float *row = scores + frame * stride;
        FOR(bits) *bits = stepped + frame * vectors;

        /* Only the first and the last vector may extend beyond the band. Prefetching pays off for
         * vectors only; for single floats it costs more than it saves. */
        int64_t vector = first / LANES;
        FOR(vector) before = FOR(load)(totals + (vector - 1) * LANES);
        FOR(vector) score = FOR(load_between)(row + vector * LANES, low,
                                              vector == last_vector ? high : LANES - 1);
        if (LANES > 1) __builtin_prefetch(row + vector * LANES + PREFETCH_AHEAD);
        before = FOR(advance)(score, before, totals + vector * LANES, bits + vector, &refused);
        for (++vector; vector < last_vector; ++vector) {
            const float *from = row + vector * LANES;
            if (LANES > 1) __builtin_prefetch(from + PREFETCH_AHEAD);
            score = FOR(load)(from);
            before =
                FOR(advance)(score, before, totals + vector * LANES, bits + vector, &refused);
        }
        if (vector == last_vector) {
            score = FOR(load_between)(row + vector * LANES, 0, high);
            FOR(advance)(score, before, totals + vector * LANES, bits + vector, &refused);
        }
        if (frame == 0) totals[-1] = -INFINITY;
    }
    return !refused;
}

/* Backtracks from the last token in the last frame. */
TARGET static void FOR(walk_back)(const FOR(bits) *stepped, int64_t frames, int64_t tokens,
                                  int64_t *index, int64_t *durations) {
    const int64_t vectors = (tokens + LANES - 1) / LANES;
    int64_t token = tokens - 1;

    /* At token == frame the path must step, whatever was decided between -inf and -inf. The branch
     * is rarely taken and well predicted; branch-free arithmetic is slower. */
    for (int64_t frame = frames - 1; frame >= 0; --frame) {
        const size_t vector = (size_t)token / LANES, lane = (size_t)token % LANES;
        index[frame] = token;
        durations[token] = frame; /* after the loop: the first frame of the token */
        if (token == frame || stepped[(size_t)(frame * vectors) + vector] >> lane & 1) --token;
    }
    for (token = 0; token < tokens; ++token)
        durations[token] = (token + 1 < tokens ? durations[token + 1] : frames) - durations[token];
}

/* Aligns an utterance of 1 <= tokens <= frames; `stride` is the row stride of `scores` in floats.
 * Returns false, without writing an output, if a score or a sum is NaN or +inf. */
TARGET static bool FOR(search_utterance)(const float *scores, int64_t stride, int64_t frames,
                                         int64_t tokens, void *workspace, int64_t *index,
                                         int64_t *durations) {
    float *totals = (float *)workspace + LANES;
    FOR(bits) *stepped = (FOR(bits) *)(totals + (tokens + LANES - 1) / LANES * LANES);
    if (!FOR(decide)(scores, stride, frames, tokens, totals, stepped)) return false;
    FOR(walk_back)(stepped, frames, tokens, index, durations);
    return true;
}

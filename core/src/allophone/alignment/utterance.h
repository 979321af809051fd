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

/* Adds the scores of one vector of tokens to their totals. Takes the totals of the vector before as
 * they were in the last frame, and gives those of this one. */
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

/* Fills `stepped` [frames, vectors of tokens], frame by frame. A vector of totals lies before
 * `totals`. False where a score is NaN or +inf, or a sum of scores became it. */
TARGET static bool FOR(decide)(const float *scores, int64_t stride, int64_t frames, int64_t tokens,
                               float *totals, FOR(bits) *stepped) {
    const int64_t vectors = (tokens + LANES - 1) / LANES;
    int refused = 0;

    for (int64_t vector = -1; vector < vectors; ++vector)
        FOR(store)(totals + vector * LANES, FOR(splat)(-INFINITY));
    totals[-1] = 0; /* the state before the first frame, from which token 0 alone can be reached */

    for (int64_t frame = 0; frame < frames; ++frame) {
        /* The tokens that a path through this frame can be at, if it is to start at token 0 in
         * frame 0 and to end at the last token in the last frame. */
        const int64_t first = frame + tokens > frames ? frame + tokens - frames : 0;
        const int64_t last = frame < tokens ? frame : tokens - 1;
        const int64_t last_vector = last / LANES;
        const int low = (int)(first % LANES), high = (int)(last % LANES);
        const float *row = scores + frame * stride;
        FOR(bits) *bits = stepped + frame * vectors;

        /* The first and the last vector may reach beyond the band; those between lie within. Only
         * vectors are worth a prefetch: for single floats it would cost more than it saves. */
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

/* Follows the decisions from the last token in the last frame. */
TARGET static void FOR(walk_back)(const FOR(bits) *stepped, int64_t frames, int64_t tokens,
                                  int64_t *index, int64_t *durations) {
    const int64_t vectors = (tokens + LANES - 1) / LANES;
    int64_t token = tokens - 1;

    /* At token == frame only a step leads back, whatever was decided between -inf and -inf. The
     * branch is seldom taken and easily foreseen; arithmetic in its place is slower. */
    for (int64_t frame = frames - 1; frame >= 0; --frame) {
        const size_t vector = (size_t)token / LANES, lane = (size_t)token % LANES;
        index[frame] = token;
        durations[token] = frame; /* in the end the token's first frame */
        if (token == frame || stepped[(size_t)(frame * vectors) + vector] >> lane & 1) --token;
    }
    for (token = 0; token < tokens; ++token)
        durations[token] = (token + 1 < tokens ? durations[token + 1] : frames) - durations[token];
}

/* Aligns an utterance of 1 <= tokens <= frames, whose rows of scores lie `stride` floats apart.
 * False where the scores do not allow it: then nothing is written. */
TARGET static bool FOR(search_utterance)(const float *scores, int64_t stride, int64_t frames,
                                         int64_t tokens, void *workspace, int64_t *index,
                                         int64_t *durations) {
    float *totals = (float *)workspace + LANES;
    FOR(bits) *stepped = (FOR(bits) *)(totals + (tokens + LANES - 1) / LANES * LANES);
    if (!FOR(decide)(scores, stride, frames, tokens, totals, stepped)) return false;
    FOR(walk_back)(stepped, frames, tokens, index, durations);
    return true;
}

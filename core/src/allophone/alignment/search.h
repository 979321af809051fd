#include <stddef.h>
#include <stdint.h>

/* Monotonic alignment search over a batch of utterances. The build script reads its declarations
 * from here too (all but the lines that start with '#'), so keep to plain C declarations. */

/* Why an utterance was refused. */
enum refusal { ACCEPTED, LENGTH_OUT_OF_RANGE, MORE_TOKENS_THAN_FRAMES, SCORE_NOT_FINITE };

/* B batch, F frames, T tokens; every array is contiguous, the last axis innermost. */
struct search {
    const float *scores;          /* [B, F, T], only read */
    const int64_t *frame_lengths; /* [B] */
    const int64_t *token_lengths; /* [B] */
    int64_t batch, frames, tokens;
    int64_t *index;          /* [B, F], written: the token of each frame; 0 beyond the length */
    int64_t *durations;      /* [B, T], written: the frames of each token; 0 beyond the length */
    uint8_t *refusals;       /* [B], written: an `enum refusal` for each utterance */
    void *workspace;         /* threads * workspace_bytes(...) bytes */
    int32_t threads;         /* at most this many, the calling thread among them */
    int32_t instruction_set; /* its rank: 0 is the best that this processor runs */
};

/* The name of the instruction set of that rank, or NULL when this processor runs fewer. */
const char *instruction_set_name(int32_t rank);

/* What one thread needs to align an utterance of up to `frames` and `tokens`. */
size_t workspace_bytes(int32_t instruction_set, int64_t frames, int64_t tokens);

/* Aligns every utterance and returns how many were refused. Where a length is at fault, no scores
 * are read and nothing is aligned. */
int64_t search_batch(struct search *search);

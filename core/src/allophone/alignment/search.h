#include <stddef.h>
#include <stdint.h>

/* Monotonic alignment search over a batch of utterances. The build script passes this file to cffi
 * (without the lines that start with '#'), so it may hold only plain C declarations. */

/* Why an utterance was rejected. */
enum refusal { ACCEPTED, LENGTH_OUT_OF_RANGE, MORE_TOKENS_THAN_FRAMES, SCORE_NOT_FINITE };

/* B batch, F frames, T tokens; every array is contiguous, the last axis innermost. */
struct search {
    const float *scores;          /* [B, F, T] */
    const int64_t *frame_lengths; /* [B] */
    const int64_t *token_lengths; /* [B] */
    int64_t batch, frames, tokens;
    int64_t *index;          /* [B, F], output: token index of each frame; 0 for padding */
    int64_t *durations;      /* [B, T], output: number of frames of each token; 0 for padding */
    uint8_t *refusals;       /* [B], output: an `enum refusal` for each utterance */
    void *workspace;         /* threads * workspace_bytes(...) bytes */
    int32_t threads;         /* maximum number of threads, including the calling one */
    int32_t instruction_set; /* rank: 0 is the best that this CPU supports */
};

/* The name of the instruction set of this rank, or NULL if this CPU supports fewer. */
const char *instruction_set_name(int32_t rank);

/* Workspace that one thread needs for utterances of up to `frames` and `tokens`. */
size_t workspace_bytes(int32_t instruction_set, int64_t frames, int64_t tokens);

/* Aligns every utterance and returns how many were rejected. If a length is invalid, no scores are
 * read and nothing is aligned. */
int64_t search_batch(struct search *search);

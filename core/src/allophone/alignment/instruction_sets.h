/* Defines the vector operations of utterance.h for each instruction set and includes it. To add an
 * instruction set, add a block here and a row in the table of search.c. */

#define INLINE static inline __attribute__((always_inline))

/* ---- plain C: one token at a time, for all other CPUs ---- */

#define FOR(name) name##_plain
#define TARGET
#define LANES 1
typedef float vector_plain;
typedef uint8_t bits_plain;

INLINE float load_plain(const float *p) { return *p; }
INLINE float load_between_plain(const float *p, int low, int high) {
    return low <= 0 && high >= 0 ? *p : -INFINITY;
}
INLINE void store_plain(float *p, float v) { *p = v; }
INLINE float splat_plain(float x) { return x; }
INLINE float add_plain(float a, float b) { return a + b; }
INLINE float greater_plain(float a, float b) { return a < b ? b : a; }
INLINE float shift_in_plain(float before, float v) { return (void)v, before; }
INLINE int less_plain(float a, float b) { return a < b; }
INLINE int not_less_plain(float a, float b) { return !(a < b); }

#include "utterance.h"
#undef FOR
#undef TARGET
#undef LANES

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- SSE2, which every x86-64 processor has ---- */

#define FOR(name) name##_sse2
#define TARGET
#define LANES 4
typedef __m128 vector_sse2;
typedef uint8_t bits_sse2;

INLINE __m128 load_sse2(const float *p) { return _mm_loadu_ps(p); }
INLINE __m128 load_between_sse2(const float *p, int low, int high) {
    float lanes[4];
    for (int lane = 0; lane < 4; ++lane)
        lanes[lane] = low <= lane && lane <= high ? p[lane] : -INFINITY;
    return _mm_loadu_ps(lanes);
}
INLINE void store_sse2(float *p, __m128 v) { _mm_storeu_ps(p, v); }
INLINE __m128 splat_sse2(float x) { return _mm_set1_ps(x); }
INLINE __m128 add_sse2(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
INLINE __m128 greater_sse2(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
INLINE __m128 shift_in_sse2(__m128 before, __m128 v) {
    /* before[3] twice, v[0] twice */
    const __m128 seam = _mm_shuffle_ps(before, v, _MM_SHUFFLE(0, 0, 3, 3));
    return _mm_shuffle_ps(seam, v, _MM_SHUFFLE(2, 1, 2, 0));
}
INLINE int less_sse2(__m128 a, __m128 b) { return _mm_movemask_ps(_mm_cmplt_ps(a, b)); }
INLINE int not_less_sse2(__m128 a, __m128 b) { return _mm_movemask_ps(_mm_cmpnlt_ps(a, b)); }

#include "utterance.h"
#undef FOR
#undef TARGET
#undef LANES

/* ---- AVX2 ---- */

#define FOR(name) name##_avx2
#define TARGET __attribute__((target("avx2")))
#define LANES 8
typedef __m256 vector_avx2;
typedef uint8_t bits_avx2;

TARGET INLINE __m256 load_avx2(const float *p) { return _mm256_loadu_ps(p); }
TARGET INLINE __m256 load_between_avx2(const float *p, int low, int high) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane),
                                            _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(high)));
    const __m256i inside = _mm256_xor_si256(outside, _mm256_set1_epi32(-1));
    return _mm256_blendv_ps(_mm256_maskload_ps(p, inside), _mm256_set1_ps(-INFINITY),
                            _mm256_castsi256_ps(outside));
}
TARGET INLINE void store_avx2(float *p, __m256 v) { _mm256_storeu_ps(p, v); }
TARGET INLINE __m256 splat_avx2(float x) { return _mm256_set1_ps(x); }
TARGET INLINE __m256 add_avx2(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
TARGET INLINE __m256 greater_avx2(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
TARGET INLINE __m256 shift_in_avx2(__m256 before, __m256 v) {
    /* the upper half of before, then the lower half of v */
    const __m256 seam = _mm256_permute2f128_ps(before, v, 0x21);
    return _mm256_castsi256_ps(
        _mm256_alignr_epi8(_mm256_castps_si256(v), _mm256_castps_si256(seam), 3 * sizeof(float)));
}
TARGET INLINE int less_avx2(__m256 a, __m256 b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
TARGET INLINE int not_less_avx2(__m256 a, __m256 b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ));
}

#include "utterance.h"
#undef FOR
#undef TARGET
#undef LANES

/* ---- AVX-512 ---- */

#define FOR(name) name##_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES 16
typedef __m512 vector_avx512;
typedef uint16_t bits_avx512;

TARGET INLINE __m512 load_avx512(const float *p) { return _mm512_loadu_ps(p); }
TARGET INLINE __m512 load_between_avx512(const float *p, int low, int high) {
    const __mmask16 inside = (__mmask16)(0xffffu << low & 0xffffu >> (15 - high));
    return _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), inside, p);
}
TARGET INLINE void store_avx512(float *p, __m512 v) { _mm512_storeu_ps(p, v); }
TARGET INLINE __m512 splat_avx512(float x) { return _mm512_set1_ps(x); }
TARGET INLINE __m512 add_avx512(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
TARGET INLINE __m512 greater_avx512(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
TARGET INLINE __m512 shift_in_avx512(__m512 before, __m512 v) {
    return _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(v), _mm512_castps_si512(before), 15));
}
TARGET INLINE int less_avx512(__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
TARGET INLINE int not_less_avx512(__m512 a, __m512 b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ);
}

#include "utterance.h"
#undef FOR
#undef TARGET
#undef LANES

#endif

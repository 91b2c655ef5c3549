// Boosted trees over small codes instead of numbers: exact, and many rows at once.
//
// A number becomes the count of thresholds of its column that lie below it, so that it is beyond
// threshold i if and only if its code is greater than i. Codes have a byte. A missing number is
// below all thresholds in one set of codes and beyond all in another; a split reads the set that
// sends it where the model does.
//
// Of many rows, each split moves those of its leaf that are beyond its threshold to a new leaf: a
// few instructions for all of them, without a branch. A single row is walked down several trees at
// a time, since a step has to wait for the one before.
//
// Contributions are Shapley values, where a column that is not known sends a row both ways, by the
// shares of training rows that went there: the path-dependent ones of Lundberg et al., 2020, "From
// local explanations to global understanding with explainable AI for trees". If each column is
// known with the chance t, a row gets to a leaf with the chance
//   product over the columns of its path: t * inside + (1 - t) * share
// where inside says if all splits of the column send the row towards the leaf, and share is the
// product of their shares. A column's contribution is the integral, over t from 0 to 1, of the
// derivative of the expected score by the chance of this column alone (Owen, 1972, "Multilinear
// extensions of games"). It is a polynomial in t, for which the N_POINTS of Gauss and Legendre are
// exact. All of a tree is done on one walk to its leaves and back.
//
// model.h has: WIDTH, ABREAST, N_OUTPUTS, N_TREES of each (a multiple of ABREAST), LINK;
// baselines[N_OUTPUTS]; asked[N_ASKED], the columns that splits ask for, which only have codes; the
// thresholds of each, sorted and filled up with INFINITY to one less than a power of two, and the
// place of its first one; splits, parents before children; leaves; and for every tree, those of an
// output together, the place of its first split and leaf. For contributions: MAX_SPLITS of a tree;
// N_POINTS, a multiple of POINTS_TOGETHER, with their weights; bases[N_OUTPUTS], the expected raw
// scores; and a branch beside every split.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  uint16_t codes;     // 2 * asked column, and 1 more where missing numbers are beyond the threshold
  uint8_t threshold;
  uint8_t leaf;       // the one that rows beyond the threshold leave
  int16_t next[2];    // of rows not beyond the threshold, and beyond it: a split, or -1 - a leaf
} Split;

// Of a split, what contributions need. The ways of a tree have numbers: 0 leads to its root,
// 1 + 2 * split + side away from a split, on side 1 those beyond the threshold.
typedef struct {
  uint16_t entry;       // the way that leads to the split
  uint16_t before;      // the last one on the path that the same column decided, otherwise 0
  double share_before;  // the column's share until here
  double share[2];      // of each side, of the rows that come to the split
  double value[2];      // of the leaf that a side leads to, otherwise 1
} Branch;

// what makes a prediction of raw scores
#define IDENTITY 0
#define LOG 1
#define LOGIT 2
#define SOFTMAX 3
#include "model.h"

#define REGISTER 16
#define N_REGISTERS 8
#define LANES (REGISTER * N_REGISTERS)
#define FEW 8
#define MISSING 255
// bytes are compared with their signs on most processors
#define SIGNED(code) ((int8_t)((code) - 128))
typedef int8_t Bytes __attribute__((vector_size(REGISTER), may_alias));

// of the search for a number among the thresholds of a column
static uint32_t first_step(size_t column) {
  return (first_threshold[column + 1] - first_threshold[column] + 1) / 2;
}

// where there are wider registers, they are used
#if defined(__x86_64__) && defined(__gnu_linux__) && __has_attribute(target_clones)
__attribute__((target_clones("avx2", "default")))
#endif
static void many(const double *rows, size_t n_rows, double *out) {
  int8_t codes[2 * N_ASKED][LANES] __attribute__((aligned(REGISTER)));
  for (size_t column = 0; column < N_ASKED; ++column) {
    double x[LANES];
    uint32_t n_below[LANES] = {0};
    const double *limits = thresholds + first_threshold[column];
    for (size_t r = 0; r < LANES; ++r) x[r] = rows[(r < n_rows ? r : 0) * WIDTH + asked[column]];
    for (uint32_t step = first_step(column); step; step /= 2)
      for (size_t r = 0; r < LANES; ++r)
        n_below[r] += (limits[n_below[r] + step - 1] < x[r]) * step;
    for (size_t r = 0; r < LANES; ++r) {
      codes[2 * column][r] = SIGNED(n_below[r]);
      codes[2 * column + 1][r] = SIGNED(isnan(x[r]) ? MISSING : n_below[r]);
    }
  }
  for (size_t output = 0; output < N_OUTPUTS; ++output) {
    double raw[LANES];
    for (size_t r = 0; r < LANES; ++r) raw[r] = baselines[output];
    for (size_t tree = output * N_TREES; tree < (output + 1) * N_TREES; ++tree) {
      Bytes leaf[N_REGISTERS];
      memset(leaf, 0, sizeof leaf);
      int8_t n_leaves = 0;
      const Split *end = splits + first_split[tree + 1];
      for (const Split *split = splits + first_split[tree]; split < end; ++split) {
        const Bytes *code = (const Bytes *)codes[split->codes];
        ++n_leaves;
        for (size_t i = 0; i < N_REGISTERS; ++i) {
          Bytes moved = (leaf[i] == (int8_t)split->leaf) & (code[i] > SIGNED(split->threshold));
          leaf[i] = (leaf[i] & ~moved) | (n_leaves & moved);
        }
      }
      uint8_t at[LANES];
      memcpy(at, leaf, sizeof at);
      for (size_t r = 0; r < LANES; ++r) raw[r] += leaves[first_leaf[tree] + at[r]];
    }
    for (size_t r = 0; r < n_rows; ++r) out[r * N_OUTPUTS + output] = raw[r];
  }
}

static void encode(const double *row, uint8_t *codes) {
  for (size_t column = 0; column < N_ASKED; ++column) {
    double x = row[asked[column]];
    uint32_t n_below = 0;
    const double *limits = thresholds + first_threshold[column];
    for (uint32_t step = first_step(column); step; step /= 2)
      n_below += (limits[n_below + step - 1] < x) * step;
    codes[2 * column] = n_below;
    codes[2 * column + 1] = isnan(x) ? MISSING : n_below;
  }
}

static void one(const double *row, double *out) {
  uint8_t codes[2 * N_ASKED];
  encode(row, codes);
  for (size_t output = 0; output < N_OUTPUTS; ++output) {
    double raw = baselines[output];
    for (size_t tree = output * N_TREES; tree < (output + 1) * N_TREES; tree += ABREAST) {
      int at[ABREAST] = {0}, walking;
      do {
        walking = 0;
        for (size_t i = 0; i < ABREAST; ++i) {
          const Split *split = splits + first_split[tree + i] + (at[i] < 0 ? 0 : at[i]);
          int next = split->next[codes[split->codes] > split->threshold];
          at[i] = at[i] < 0 ? at[i] : next;
          walking |= at[i] >= 0;
        }
      } while (walking);
      for (size_t i = 0; i < ABREAST; ++i) raw += leaves[first_leaf[tree + i] - 1 - at[i]];
    }
    out[output] = raw;
  }
}

// of one row, in place
static void link(double *scores) {
#if LINK == LOG
  scores[0] = exp(scores[0]);
#elif LINK == LOGIT
  scores[0] = 1.0 / (1.0 + exp(-scores[0]));
#elif LINK == SOFTMAX
  double greatest = scores[0], sum = 0.0;
  for (size_t i = 1; i < N_OUTPUTS; ++i) greatest = fmax(greatest, scores[i]);
  for (size_t i = 0; i < N_OUTPUTS; ++i) sum += scores[i] = exp(scores[i] - greatest);
  for (size_t i = 0; i < N_OUTPUTS; ++i) scores[i] /= sum;
#else
  (void)scores;
#endif
}

typedef double Points __attribute__((vector_size(8 * POINTS_TOGETHER)));
#define N_TOGETHER (N_POINTS / POINTS_TOGETHER)

static void explain(const double *row, double *out) {
  uint8_t codes[2 * N_ASKED];
  encode(row, codes);
  Points t[N_TOGETHER], rest[N_TOGETHER];
  memcpy(t, points, sizeof t);
  for (size_t i = 0; i < N_TOGETHER; ++i) rest[i] = 1.0 - t[i];
  for (size_t output = 0; output < N_OUTPUTS; ++output) {
    Points sums[N_ASKED][N_TOGETHER];
    memset(sums, 0, sizeof sums);
    for (size_t tree = output * N_TREES; tree < (output + 1) * N_TREES; ++tree) {
      const Split *split = splits + first_split[tree];
      const Branch *branch = branches + first_split[tree];
      int n_splits = first_split[tree + 1] - first_split[tree];
      // of every way: whether its column sends the row there, the inverse of the column's factor if
      // so, and the chance to get there, which becomes the score to expect by it
      uint8_t inside[1 + 2 * MAX_SPLITS];
      Points inverse[1 + 2 * MAX_SPLITS][N_TOGETHER], reached[1 + 2 * MAX_SPLITS][N_TOGETHER];
      inside[0] = 1;
      for (size_t i = 0; i < N_TOGETHER; ++i) inverse[0][i] = reached[0][i] = t[i] + rest[i];
      for (int s = 0; s < n_splits; ++s) {
        const Branch b = branch[s];
        const Points *entry = reached[b.entry];
        int beyond = codes[split[s].codes] > split[s].threshold;
        int hot = 1 + 2 * s + beyond, cold = 2 + 2 * s - beyond;
        inside[hot] = inside[b.before], inside[cold] = 0;
        if (inside[hot]) {
          double share = b.share_before * b.share[beyond];
          double other = b.share_before * b.share[!beyond] * b.value[!beyond];
          for (size_t i = 0; i < N_TOGETHER; ++i) {
            Points factor = t[i] + share * rest[i], others = entry[i] * inverse[b.before][i];
            inverse[hot][i] = 1.0 / factor;
            reached[hot][i] = others * factor * b.value[beyond];
            reached[cold][i] = others * rest[i] * other;
          }
        } else {
          for (size_t i = 0; i < N_TOGETHER; ++i) {
            reached[hot][i] = entry[i] * (b.share[beyond] * b.value[beyond]);
            reached[cold][i] = entry[i] * (b.share[!beyond] * b.value[!beyond]);
          }
        }
      }
      for (int s = n_splits - 1; s >= 0; --s) {
        const Branch b = branch[s];
        int beyond = inside[2 + 2 * s];
        const Points *hot = reached[1 + 2 * s + beyond], *cold = reached[2 + 2 * s - beyond];
        if (inside[b.before]) {
          // the derivatives of both factors, divided by them, less that of the factor until here
          double change = b.share_before * (1.0 - b.share[beyond]);
          const Points *inverse_hot = inverse[1 + 2 * s + beyond];
          for (size_t i = 0; i < N_TOGETHER; ++i)
            sums[split[s].codes / 2][i] += inverse[b.before][i] *
                (change * hot[i] * inverse_hot[i] - cold[i] / rest[i]);
        }
        for (size_t i = 0; i < N_TOGETHER; ++i) reached[b.entry][i] = hot[i] + cold[i];
      }
    }
    memset(out, 0, WIDTH * sizeof *out);
    for (size_t column = 0; column < N_ASKED; ++column)
      for (size_t i = 0; i < N_POINTS; ++i)
        out[asked[column]] += weights[i] * sums[column][i / POINTS_TOGETHER][i % POINTS_TOGETHER];
    out[WIDTH] = bases[output];
    out += WIDTH + 1;
  }
}

const size_t n_outputs = N_OUTPUTS;

static void score(const double *rows, size_t n_rows, double *out) {
  while (n_rows > FEW) {
    size_t n = n_rows < LANES ? n_rows : LANES;
    many(rows, n, out);
    rows += n * WIDTH, out += n * N_OUTPUTS, n_rows -= n;
  }
  for (size_t r = 0; r < n_rows; ++r) one(rows + r * WIDTH, out + r * N_OUTPUTS);
}

// out[n_rows][N_OUTPUTS]
void raw(const double *rows, size_t n_rows, double *out) { score(rows, n_rows, out); }

// out[n_rows][N_OUTPUTS]
void predict(const double *rows, size_t n_rows, double *out) {
  score(rows, n_rows, out);
  for (size_t r = 0; r < n_rows; ++r) link(out + r * N_OUTPUTS);
}

// out[n_rows][N_OUTPUTS][WIDTH + 1]: of each column, and at last the base, to which they add
void contributions(const double *rows, size_t n_rows, double *out) {
  for (size_t r = 0; r < n_rows; ++r)
    explain(rows + r * WIDTH, out + r * N_OUTPUTS * (WIDTH + 1));
}

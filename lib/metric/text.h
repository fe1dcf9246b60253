/* text.h - texts as sequences of symbols, and how much of two is the same: what the metrics
 * of generated text are made of.
 *
 * A symbol is a character, or a word's number. ngram.c numbers and counts, text_words.c cuts
 * texts into words as each metric does, stem.c takes suffixes off, rouge.c finds longest
 * common subsequences, text.c makes metrics of it all.
 */
#ifndef FT_METRIC_TEXT_H
#define FT_METRIC_TEXT_H

#include "ft/mem.h"
#include "ft/stream.h"

/* ---- ngram.c ---- */
/* Nodes of a tree whose edges are symbols: 0 is the root, others are numbered as they come.
 * A word's number is the node at the end of the path of its bytes. {0} is a valid empty one. */
struct paths {
	struct slot *slot;
	size_t slots;
	uint32_t generation;
	int32_t nodes; /* without the root */
};
void paths_clear(struct paths *p);
/* The node that `symbol` leads to from a node; <0: out of memory. */
int32_t paths_step(struct paths *p, int32_t from, int32_t symbol);
void paths_free(struct paths *p);

/* Sequences of symbols end to end: of the prediction, and of each reference. */
struct sequences {
	int32_t *symbol;
	size_t n, cap;
	size_t *end;         /* [count]: where each ends */
	size_t count, end_cap;
};
struct sequence { /* borrowed */
	const int32_t *symbol;
	size_t n;
};
int sequences_push(struct sequences *s, int32_t symbol);
int sequences_end(struct sequences *s);
struct sequence sequences_get(const struct sequences *s, size_t i);
void sequences_free(struct sequences *s);

#define ORDERS 6 /* the longest n-grams */
struct ngrams {
	struct paths paths;
	int32_t *node;          /* [symbols]: that of the n-gram which begins here */
	int32_t *count, *most;  /* [nodes] */
	size_t node_cap, count_cap, most_cap;
};
/* match[n - 1]: how many n-grams of `a` there are in b[0..nb-1], each as often as in that
 * where it is most frequent. */
int ngrams_match(struct ngrams *g, struct sequence a, const struct sequence *b, size_t nb, int orders, double *match);
void ngrams_free(struct ngrams *g);

/* ---- stem.c ---- */
/* Takes the suffix off a word of a-z and 0-9; returns its new length. */
size_t stem_word(char *word, size_t n);

/* ---- text_words.c ---- */
struct cutter {
	bool stem;              /* words of ROUGE */
	struct paths words;
	struct sequences *out;
	size_t *line;           /* [lines]: symbols before each line break, of ROUGE's words */
	size_t lines, line_cap;
	struct ft_buf a, b;     /* scratch */
};
/* Each appends the symbols of a text to c->out. */
typedef int cut_text(struct cutter *c, struct ft_span text);
cut_text cut_rouge, cut_13a, cut_answer, cut_characters;
void cutter_clear(struct cutter *c); /* words are numbered anew */
void cutter_free(struct cutter *c);

/* ---- rouge.c ---- */
struct lcs {
	uint64_t *row, *mask;   /* [rows, columns / 64]; [columns / 64] */
	int32_t *first, *next;  /* places of a word: [words]; [columns] */
	bool *hit;              /* [rows] of a reference: in the union */
	int32_t *left[2];       /* [words]: those of each text not yet counted */
	size_t row_cap, mask_cap, first_cap, next_cap, hit_cap, left_cap[2];
};
/* Length of the longest common subsequence of words numbered up to `words`; <0 on failure. */
int64_t lcs_length(struct lcs *l, struct sequence a, struct sequence b, int32_t words);
/* ROUGE-Lsum's hits: words of the union, over sentences of the prediction, of the longest
 * common subsequences with each sentence of the reference. `cut`: where sentences end. */
struct sentences {
	struct sequence all;
	const size_t *cut;      /* [cuts] within all, rising */
	size_t cuts;
};
int64_t lcs_union(struct lcs *l, const struct sentences *reference, const struct sentences *prediction, int32_t words);
void lcs_free(struct lcs *l);

#endif

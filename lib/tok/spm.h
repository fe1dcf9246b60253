/* spm.h - a SentencePiece model, whichever file it comes from, and the tree that
 * tokenizer.json would have for it.
 *
 * spm_model.c reads the file (protobuf), gguf_vocab.c fills the same structure from a
 * GGUF; spm_tree.c makes of it a tree that does what SentencePiece does; spm_family.c
 * knows what other programs make of it for some families.
 */
#ifndef FT_TOK_SPM_H
#define FT_TOK_SPM_H

#include "priv.h"
#include "trie.h"

struct tok_spm_piece {
	struct ft_span text; /* borrowed from the file */
	float score;
	uint8_t type;        /* TOK_NORMAL, ... */
};
struct tok_spm {
	struct tok_spm_piece *piece; /* [n]; the id is the place */
	size_t n, cap;
	bool bpe;                    /* else unigram */
	bool byte_fallback;
	int64_t unk, bos, eos, pad;  /* ids; -1: none */
	struct ft_span charsmap;     /* n 0: none */
	bool prefix, squeeze, escape, suffix; /* see normal_spm.c */
	bool isolate_user;           /* user-defined pieces are cut out of the raw text, which SentencePiece does not */
	bool single;                 /* scores are added up in float32 */
};

/* Of a .model file, whose bytes stay borrowed. Errors name `where`. */
int tok_spm_read(struct tok_spm *m, const char *where, const void *bytes, size_t n);
void tok_spm_free(struct tok_spm *m);
/* What every model must be, whatever it was read from: one unknown piece, no empty
 * ones, sound UTF-8, all bytes when it falls back to them. */
int tok_spm_check(struct tok_spm *m, const char *where);

/* A tree that does as SentencePiece does; the vocabulary is added to v, and scores,
 * types and merges to src. New reference, NULL on failure. It has no post_processor,
 * and as added_tokens those that are special. */
json_t *tok_spm_tree(const struct tok_spm *m, struct tok_vocab *v, struct tok_source *src, const char *where);
/* The member user_defined, [[piece, id], ...], which may be absent. */
int tok_spm_user_load(const json_t *v, struct tok_trie *trie);

#endif

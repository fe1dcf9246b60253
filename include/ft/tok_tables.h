/* tok_tables.h - a tokenizer as tables, the form in which GGUF files hold it.
 *
 * There are two kinds: "llama", SentencePiece's BPE, whose merges follow from scores, and
 * "gpt2", BPE of bytes, whose way of cutting texts into words has a name. A tokenizer that
 * is neither is FT_EUSAGE.
 */
#ifndef FT_TOK_TABLES_H
#define FT_TOK_TABLES_H

#include "ft/mem.h"
#include "ft/stream.h"
#include <stdbool.h>
#include <stdint.h>

/* X(name, what GGUF calls it): tokens that have a part to play. */
#define FT_TOK_ROLES(X)                                                                        \
	X(bos, "bos") X(eos, "eos") X(unk, "unknown") X(sep, "seperator") X(pad, "padding")    \
	X(cls, "cls") X(mask, "mask")

#define FT_TOK_NORMAL 1
struct ft_tok;
struct tok_kept;
struct ft_tok_tables {
	const char *model;
	struct ft_span pre;          /* "llama-bpe"; "default" of a "llama" */
	size_t n, merges;
	struct ft_span *piece;       /* [n] */
	float *score;                /* [n]; NULL: it has none */
	int32_t *type;               /* [n], as SentencePiece numbers them: FT_TOK_NORMAL, 2 unknown,
	                                3 control, 4 user-defined, 5 unused, 6 byte */
	struct ft_span *merge;       /* [merges]: "a b", best first */
	struct {
#define X(name, key) int32_t name;
		FT_TOK_ROLES(X)
#undef X
	} role;                      /* ids; -1: none */
	bool add_bos, add_eos;       /* stand around a text */
	bool space_prefix;           /* a text begins with a space that is put there */
	struct ft_buf chat_template; /* len 0: none */

	struct ft_tok *tok;          /* private, as are the rest: what the spans point into */
	struct tok_kept *kept;
	struct ft_arena memory;
};
/* Of the tokenizer of a folder or a GGUF file, for a model with `size` rows of embeddings: ids that have no
 * piece become unused ones. FT_EMATCH: there are more pieces than rows. */
int ft_tok_tables_open(struct ft_tok_tables *x, const char *dir, size_t size);
/* Writes them into a folder as tokenizer.json and tokenizer_config.json. */
int ft_tok_tables_save(const struct ft_tok_tables *x, const char *dir);
void ft_tok_tables_close(struct ft_tok_tables *x); /* leaves {0} */

#endif

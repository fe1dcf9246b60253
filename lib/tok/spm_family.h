/* spm_family.h - what transformers makes of a SentencePiece model for a family of networks. */
#ifndef FT_TOK_SPM_FAMILY_H
#define FT_TOK_SPM_FAMILY_H

#include "spm.h"
#include "post.h"

struct tok_spm_family {
	const char *class;           /* tokenizer_class, without "Fast" */
	const char *models;          /* values of model_type, each with a space behind it */
	const char *head[6];         /* pieces that stand before the model's, with a NULL behind them, */
	size_t skip;                 /* of which the first ones are left out */
	const char *tail;            /* a piece behind them, or NULL */
	int64_t extra_ids;           /* how many <extra_id_N> stand behind them, as a rule */
	int64_t unk;                 /* id; -1: the model's own */
	const char *stages;          /* JSON: normalizer, pre_tokenizer and decoder */
	const char *token[TOK_ROLES]; /* as far as tokenizer_config.json does not name them; or NULL */
	const char *lstrip;          /* of these, the one that takes the white space before it; or NULL */
	const char *single, *pair; /* see tok_post_processor() */
};
/* The family of a folder; *family NULL when it is none and the model's own rules hold,
 * with *bos whether a text begins with bos. FT_EFORMAT: a family of which nothing is known. */
int tok_spm_family(const char *class, const char *model_type, const struct tok_spm_family **family, bool *bos);
/* As tok_spm_tree(), for a family; the post_processor is the caller's. `config` is
 * tokenizer_config.json, or NULL. */
json_t *tok_spm_family_tree(const struct tok_spm *m, const struct tok_spm_family *f, const json_t *config,
                            struct tok_vocab *v, struct tok_source *src, const char *where);

#endif

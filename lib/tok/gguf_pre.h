/* gguf_pre.h - what a GGUF's tokenizer.ggml.pre stands for. */
#ifndef FT_TOK_GGUF_PRE_H
#define FT_TOK_GGUF_PRE_H

#include "ft/json.h"
#include "ft/stream.h"

struct tok_gguf_pre {
	json_t *normalizer, *splitter; /* as in tokenizer.json; normalizer NULL: none */
	bool ignore_merges, bos;       /* bos: a text begins with it unless the file says otherwise */
	bool sep;                      /* a second text has another eos before it */
};
int tok_gguf_pre(struct tok_gguf_pre *p, const char *name); /* FT_EFORMAT: not known */
/* The other way round: of what a tokenizer.json says, as tok_load_tree() has it. n 0: no name is known. */
struct ft_span tok_gguf_pre_of(const json_t *root);

#endif

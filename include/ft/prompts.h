/* prompts.h - rows of text that a language model goes on from, and its answers as JSON
 * lines: {"src":…[,"text":…],"answer":…,"tokens":N,"logprob":X,"finish":"stop"[,"reference":…]}
 */
#ifndef FT_PROMPTS_H
#define FT_PROMPTS_H

#include "ft/generate.h"
#include "ft/predict.h"
#include "ft/text.h"

struct ft_prompts_options {
	struct ft_generate_options generate;
	size_t group;    /* rows that are answered side by side */
	size_t limit;    /* most tokens of a prompt: less than the model takes */
	bool cut;        /* a longer one loses its beginning, behind what the tokenizer puts there; else it is FT_EFORMAT */
	bool raw;        /* the answers alone, as they come, a line end behind each */
	bool keep_text;  /* repeat the prompt */
	bool reference;  /* repeat the row's label, what the answer should be */
};

struct ft_prompts;
/* Writes to stdout. All are borrowed. NULL on failure. */
struct ft_prompts *ft_prompts_new(struct ft_model *m, const struct ft_tok *t, const struct ft_prompts_options *o);
void ft_prompts_free(struct ft_prompts *p); /* NULL is fine */
struct ft_prompt {
	const int32_t *ids; /* [n], with their special tokens */
	size_t n;
	struct ft_span src, text, reference; /* what is repeated may be empty */
};
/* Takes a prompt, and answers a group when it is full. */
int ft_prompts_add(struct ft_prompts *p, const struct ft_prompt *q);
int ft_prompts_row(struct ft_prompts *p, const struct ft_row *row); /* the same of a row of text */
int ft_prompts_end(struct ft_prompts *p); /* answers the rest */
struct ft_predict_counts ft_prompts_count(const struct ft_prompts *p);

#endif

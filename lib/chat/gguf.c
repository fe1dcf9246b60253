/* gguf.c - the chat template of a GGUF file, and the special tokens that it may ask for. */
#include "dir.h"

#include "ft/err.h"
#include "ft/gguf.h"

#include <stdlib.h>

/* Keys that name a token by its number, and what templates call it. */
static const char *const tokens_of[][2] = {
	{ "tokenizer.ggml.bos_token_id", "bos_token" },       { "tokenizer.ggml.eos_token_id", "eos_token" },
	{ "tokenizer.ggml.unknown_token_id", "unk_token" },   { "tokenizer.ggml.padding_token_id", "pad_token" },
	{ "tokenizer.ggml.seperator_token_id", "sep_token" },
};
#define TOKENS (sizeof tokens_of / sizeof *tokens_of)

static int add_template(struct ft_chat *c, const struct ft_gguf *g, const char *path, const char *key, bool tools)
{
	int err = FT_OK;
	struct ft_span text = ft_gguf_text(g, key, &err);
	char *name = err < 0 || !text.p ? NULL : ft_format("%s: %s", path, key);
	int rc = err < 0 ? err : name ? chat_add(c, tools, name, text.p, text.n) : text.p ? FT_EFAIL : FT_OK;
	free(name);
	return rc;
}

/* The pieces of those tokens, in one walk over the vocabulary. */
static int add_tokens(const struct ft_gguf *g, json_t *tokens)
{
	int err = FT_OK;
	int64_t id[TOKENS];
	const void *at = NULL;
	const struct ft_gguf_value *pieces = ft_gguf_array(g, "tokenizer.ggml.tokens", FT_GGUF_TEXTS, &err);
	for (size_t i = 0; i < TOKENS; i++)
		id[i] = ft_gguf_int(g, tokens_of[i][0], -1, &err);
	for (size_t n = 0; err == FT_OK && pieces && n < pieces->count; n++) {
		struct ft_span piece = ft_gguf_text_next(pieces, &at);
		for (size_t i = 0; err == FT_OK && i < TOKENS; i++)
			if (id[i] == (int64_t)n)
				err = ft_json_set(tokens, tokens_of[i][1], json_stringn(piece.p, piece.n));
	}
	return err;
}

int chat_add_gguf(struct ft_chat *c, const char *path, json_t *tokens)
{
	struct ft_gguf *g = ft_gguf_open(path);
	int rc = g ? add_template(c, g, path, "tokenizer.chat_template", false) : ft_last_error();
	rc = rc < 0 ? rc : add_template(c, g, path, "tokenizer.chat_template.tool_use", true);
	rc = rc < 0 ? rc : add_tokens(g, tokens);
	ft_gguf_close(g);
	return rc;
}
